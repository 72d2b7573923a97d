import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startEngine } from "../engine/process/start-engine.js";
import { compileArtifact } from "../engine/compile/compile-artifact.js";
import { readWeightPlaces } from "../engine/weight-places.js";
import { loadBaseModel } from "../models/load/load-base-model.js";
import { dataOf, openTinyWorkbench, peftFolder, requestOf, trainEverything } from "../testing/tiny-models.js";
import { createLocalTrainer } from "./create-local-trainer.js";
import { openModelWorkbench } from "./model-workbench.js";
import { makeTrialStep } from "./trial-step.js";

let cacheFolder: string;
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "fedlora-workbench-"));
});
afterAll(() => rm(cacheFolder, { recursive: true }));

test.each(["bert", "llama"])("the step that engines are compared by runs for %s", async (kind) => {
  const baseModel = await loadBaseModel(join(peftFolder, kind, "base"), { cacheFolder });
  const weights = readWeightPlaces(await baseModel.weightsFile());

  const { slot, ...step } = await makeTrialStep(baseModel, (request) =>
    compileArtifact({ request, weights, outputFolder: cacheFolder }),
  );

  const engine = await startEngine({ engine: "onnxruntime-cpu", threads: 1, prepack: false });
  const { loss } = await engine.accumulate({ ...step, slot: await engine.createSlot(slot) });
  await engine.close();
  expect(loss).toBeGreaterThan(0);
  expect(slot.trained.length).toBeGreaterThan(3);
});

test("an engine in a process of its own, the same results as in this one", async () => {
  const tiny = await openTinyWorkbench("bert");
  const adapter = await tiny.readAdapter("plain");
  const request = requestOf(
    trainEverything(adapter, { localSteps: 2, batchSize: 2 }),
    adapter.tensors,
    dataOf([
      { text: "free money", label: 0 },
      { text: "click now", label: "yes" },
    ]),
  );
  const noSignal = new AbortController().signal;
  const expected = await tiny.trainer.train(request, noSignal, () => undefined);
  await tiny.remove();

  const trainer = createLocalTrainer({
    baseModel: await loadBaseModel(join(peftFolder, "bert", "base"), { cacheFolder }),
    cacheFolder,
    engine: { engine: "onnxruntime-cpu", threads: 1 },
  });
  const { trained } = await trainer.train(request, noSignal, () => undefined);
  await trainer.close();

  expect(trained).toEqual(expected.trained);
});

test("with a native engine the application's process never loads TensorFlow.js, and ends by itself", async () => {
  const sdk = new URL("../index.ts", import.meta.url).href;
  const localModel = new URL("../client/local-model.ts", import.meta.url).href;
  const folder = await mkdtemp(join(tmpdir(), "fedlora-application-"));
  const source = `
    import { createRequire } from "node:module";
    const { loadBaseModel, openModelWorkbench } = await import(${JSON.stringify(sdk)});
    const { openLocalModel } = await import(${JSON.stringify(localModel)});
    const [baseModelFolder, folder] = ${JSON.stringify([join(peftFolder, "bert", "base"), folder])};
    const engine = { engine: "onnxruntime-cpu", threads: 1 };
    const model = await openLocalModel({ source: { baseModel: baseModelFolder, engine }, stateFolder: folder });
    await model.close();
    const baseModel = await loadBaseModel(baseModelFolder, { cacheFolder: folder });
    const workbench = openModelWorkbench({ baseModel, cacheFolder: folder, engine });
    const [embedding] = await workbench.adapt().embed(["free money"]);
    await workbench.close();
    const loaded = Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes("tensorflow"));
    console.log(JSON.stringify({ numbers: embedding.length, loaded }));`;
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  const options = ["--import", loader, "--conditions=@fedlora/source", "--input-type=module", "-e", source];

  const { stdout } = await promisify(execFile)(process.execPath, options);

  await rm(folder, { recursive: true });
  expect(JSON.parse(stdout)).toEqual({ numbers: 16, loaded: [] });
});

test("an engine that did not start is tried again by the next use", async () => {
  let attempts = 0;
  const workbench = openModelWorkbench({
    baseModel: await loadBaseModel(join(peftFolder, "bert", "base"), { cacheFolder }),
    cacheFolder,
    startEngine: () => {
      attempts += 1;
      if (attempts === 1) return Promise.reject(new Error("busy"));
      return startEngine({ engine: "onnxruntime-cpu", threads: 1, prepack: false });
    },
  });

  await expect(workbench.engine()).rejects.toThrow("busy");
  const engine = await workbench.engine();

  expect(await workbench.engine()).toBe(engine);
  expect(attempts).toBe(2);
  await workbench.close();
});
