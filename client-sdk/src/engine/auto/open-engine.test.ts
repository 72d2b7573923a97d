import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noopLogger } from "@fedlora/core";
import { expect, test, vi } from "vitest";
import { copyToy } from "../runtime/testing/toy.js";
import { openEngine } from "./open-engine.js";

test("an engine asked for by name is opened without a trial, or refused with its reason", async () => {
  const trial = vi.fn();
  const engine = await openEngine({ engine: "onnxruntime-cpu", threads: 1, trial });
  expect(engine.name).toBe("onnxruntime-cpu");
  await engine.close();
  await expect(openEngine({ engine: "tfjs-node-gpu", trial })).rejects.toMatchObject({ code: "engine-unavailable" });
  expect(trial).not.toHaveBeenCalled();
});

test("auto times a real step, keeps the choice, and opens it", async () => {
  const stateFolder = await mkdtemp(join(tmpdir(), "fedlora-auto-"));
  const toy = await copyToy("toy");
  const info = vi.fn();
  const trial = vi.fn(() => {
    const { artifact, weightsFile, inputs, slot } = toy;
    return Promise.resolve({ artifact, weightsFile, inputs, slot });
  });
  const options = { threads: 1, stateFolder, trial, logger: { ...noopLogger, info } };

  const engine = await openEngine(options);
  await engine.close();
  const again = await openEngine(options);
  await again.close();

  expect(trial).toHaveBeenCalledTimes(1);
  expect(again.name).toBe(engine.name);
  const stored = JSON.parse(await readFile(join(stateFolder, "engine-choice.json"), "utf8")) as {
    choice: { order: string[] };
  };
  expect(stored.choice.order[0]).toBe(engine.name);
  await toy.remove();
  await rm(stateFolder, { recursive: true });
});
