import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTinyWorkbench, type TinyWorkbench } from "../testing/tiny-models.js";
import { probeOnce } from "./probe-steps.js";
import type { LocalStepTimes } from "./step-meter.js";

const noSignal = new AbortController().signal;
let bert: TinyWorkbench;
let folder = "";
beforeAll(async () => {
  [bert, folder] = await Promise.all([openTinyWorkbench("bert"), mkdtemp(join(tmpdir(), "fedlora-probe-"))]);
});
afterAll(async () => {
  await bert.remove();
  await rm(folder, { recursive: true });
});

test("a probe says what steps of this model cost here by depth", async () => {
  const times = await bert.trainer.probe!(noSignal);
  const { forwardMs, layerMs, batchTokens, forwardBytes, layerBytes } = times!;
  expect(forwardMs).toBeGreaterThan(0);
  expect(layerMs).toBeGreaterThan(0);
  expect(batchTokens % 4).toBe(0);
  expect(forwardBytes).toBeGreaterThan(4 * bert.baseModel.manifest.numParameters);
  expect(layerBytes).toBeGreaterThan(0);
});

test("is made once per machine; a damaged or foreign file costs another one", async () => {
  const found: LocalStepTimes = {
    forwardMs: 3,
    layerMs: 0.5,
    batchTokens: 256,
    forwardBytes: 9,
    layerBytes: undefined,
  };
  let probes = 0;
  const probe = (machine: string) =>
    probeOnce(folder, machine, () => {
      probes += 1;
      return Promise.resolve(found);
    });
  expect(await probe("here")).toEqual(found);
  expect(await probe("here")).toEqual(found);
  expect(probes).toBe(1);
  await probe("elsewhere");
  expect(probes).toBe(2);
  const path = join(folder, "step-times.json");
  await writeFile(path, (await readFile(path, "utf8")).replace("0.5", "-1"));
  expect(await probe("elsewhere")).toEqual(found);
  expect(probes).toBe(3);
});
