import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noopLogger } from "@fedlora/core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { EngineName } from "../engine.js";
import { chooseEngine } from "./choose-engine.js";
import type { ChooseEngineOptions } from "./choose-engine.js";
import type { EngineTiming } from "./time-engines.js";

let stateFolder: string;
beforeAll(async () => {
  stateFolder = await mkdtemp(join(tmpdir(), "fedlora-choice-"));
});
afterAll(() => rm(stateFolder, { recursive: true }));

const installed: Record<string, string> = {
  "onnxruntime-node": "1.30.0",
  "onnxruntime-web": "1.30.0",
  "@tensorflow/tfjs-backend-wasm": "4.22.0",
};
const withoutGpu = (engine: EngineName): string | undefined =>
  engine === "onnxruntime-webgpu" || engine === "onnxruntime-cuda" ? "no GPU" : undefined;

function timesOf(steps: Partial<Record<EngineName, number>>) {
  return vi.fn((candidates: readonly EngineName[]): Promise<readonly EngineTiming[]> => {
    const timing = (engine: EngineName): EngineTiming => ({
      engine,
      stepMs: steps[engine],
      couldRun: steps[engine] !== undefined,
      reason: steps[engine] === undefined ? "no driver" : "",
    });
    return Promise.resolve(candidates.map(timing));
  });
}

function choose(options: Partial<ChooseEngineOptions>) {
  return chooseEngine({
    stateFolder: undefined,
    threads: 2,
    logger: noopLogger,
    time: undefined,
    versionOf: (name) => installed[name],
    exclude: withoutGpu,
    ...options,
  });
}

test("the fastest real step wins, the others follow by their times, broken ones are left out", async () => {
  const time = timesOf({ "onnxruntime-cpu": 300, "onnxruntime-web": 200 });

  const choice = await choose({ time });

  expect(time).toHaveBeenCalledWith(["onnxruntime-cpu", "onnxruntime-web", "tfjs-wasm"]);
  expect(choice.order).toEqual(["onnxruntime-web", "onnxruntime-cpu"]);
  expect(choice.why).toBe("fastest step: onnxruntime-web 200 ms, next onnxruntime-cpu 300 ms");
});

test("an engine that was only not timed stays as a fallback", async () => {
  const time = () =>
    Promise.resolve<EngineTiming[]>([
      { engine: "onnxruntime-cpu", stepMs: 300, couldRun: true, reason: "" },
      { engine: "onnxruntime-web", stepMs: undefined, couldRun: true, reason: "not tried" },
      { engine: "tfjs-wasm", stepMs: undefined, couldRun: false, reason: "broken" },
    ]);
  expect((await choose({ time })).order).toEqual(["onnxruntime-cpu", "onnxruntime-web"]);
});

test("every figure and every engine left out is logged", async () => {
  const info = vi.fn();
  await choose({ time: timesOf({ "onnxruntime-cpu": 300 }), logger: { ...noopLogger, info } });
  expect(
    (info.mock.calls as [{ engine: string }, string][]).map(([fields, message]) => [message, fields.engine]),
  ).toEqual([
    ["engine left out", "onnxruntime-cuda"],
    ["engine left out", "onnxruntime-webgpu"],
    ["engine timed", "onnxruntime-cpu"],
    ["engine timed", "onnxruntime-web"],
    ["engine timed", "tfjs-wasm"],
    ["engine chosen", "onnxruntime-cpu"],
  ]);
});

test("a choice is kept until a package or the thread count changes, and a damaged file is measured again", async () => {
  const time = timesOf({ "onnxruntime-cpu": 300, "onnxruntime-web": 400, "tfjs-wasm": 900 });
  const first = await choose({ time, stateFolder });

  expect(await choose({ time, stateFolder })).toEqual(first);
  expect(time).toHaveBeenCalledTimes(1);
  await choose({ time, stateFolder, threads: 1 });
  expect(time).toHaveBeenCalledTimes(2);
  await choose({ time, stateFolder, versionOf: (name) => (installed[name] ? "9.9.9" : undefined) });
  expect(time).toHaveBeenCalledTimes(3);
  const path = join(stateFolder, "engine-choice.json");
  await writeFile(path, (await readFile(path, "utf8")).slice(0, -20));
  await choose({ time, stateFolder });
  expect(time).toHaveBeenCalledTimes(4);
});

test("without a step to time the expected fastest is taken, and the guess is not kept", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-choice-"));
  const choice = await choose({ stateFolder: folder });
  expect(choice.order).toEqual(["onnxruntime-cpu", "onnxruntime-web", "tfjs-wasm"]);
  await expect(readFile(join(folder, "engine-choice.json"))).rejects.toThrow("ENOENT");
  await rm(folder, { recursive: true });
});

test("where nothing runs every reason is named", async () => {
  await expect(choose({ time: timesOf({}) })).rejects.toMatchObject({
    code: "engine-unavailable",
    message: expect.stringMatching(/onnxruntime-cpu: no driver.*tfjs-wasm: no driver/),
  });
  await expect(choose({ versionOf: () => undefined })).rejects.toMatchObject({ code: "engine-unavailable" });
});
