import { type StateDict, systemClock, toFloat32 } from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compileArtifact } from "../engine/compile/compile-artifact.js";
import type { EngineName, HostTensor } from "../engine/engine.js";
import { loadBackend, startEngine } from "../engine/process/start-engine.js";
import { relativeError, runStep } from "../engine/testing/golden-model.js";
import { readWeightPlaces } from "../engine/weight-places.js";
import type { SavedAdapter } from "../lora/adapter-folder.js";
import { planAdapter } from "../lora/adapter-plan.js";
import type { BaseDelta } from "../models/base-delta/base-delta.js";
import { BaseVersions } from "../models/base-delta/base-versions.js";
import { loadBaseModel } from "../models/load/load-base-model.js";
import {
  baseDeltaFolder,
  changedWeights,
  deltaFiles,
  saveModelFolder,
  type TinyKind,
} from "../testing/changed-bases.js";
import {
  dataOf,
  openTinyWorkbench,
  type PeftGolden,
  readPeftGolden,
  requestOf,
  trainEverything,
} from "../testing/tiny-models.js";
import { createGraphs } from "./artifact-request.js";
import { createExampleEncoder } from "./encode-example.js";
import { makeInputs } from "./make-inputs.js";
import { type ModelWorkbench, openModelWorkbench } from "./model-workbench.js";

let peft: PeftGolden;
let adapters: Readonly<Record<TinyKind, SavedAdapter>>;
const folders: string[] = [];
beforeAll(async () => {
  const [bert, llama] = await Promise.all([openTinyWorkbench("bert"), openTinyWorkbench("llama")]);
  peft = await readPeftGolden();
  adapters = { bert: await bert.readAdapter("plain"), llama: await llama.readAdapter("plain") };
  await Promise.all([bert.remove(), llama.remove()]);
});
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

const temporary = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-base-"));
  folders.push(folder);
  return folder;
};
const modelFolder = async (...args: Parameters<typeof saveModelFolder>): Promise<string> => {
  const folder = await saveModelFolder(...args);
  folders.push(folder);
  return folder;
};
const none: StateDict = new Map();
const examplesOf = (kind: TinyKind): readonly unknown[] =>
  kind === "bert"
    ? peft.bert.texts.map((text, index) => ({ text, label: peft.training.bert.labels[index]! }))
    : peft.llama.examples.map(({ prompt, completion }) => ({ prompt, completion }));

interface StepOptions {
  readonly engine?: EngineName;
  readonly memory?: "plain" | "recompute";
}

/** Loss and gradients of one step on the tiny model of a folder with deltas on top. */
async function step(
  kind: TinyKind,
  folder: string,
  deltas: readonly BaseDelta[],
  { engine = "onnxruntime-cpu", memory = "plain" }: StepOptions = {},
): Promise<Map<string, HostTensor>> {
  const cacheFolder = await temporary();
  const baseModel = await loadBaseModel(folder, { cacheFolder });
  const { spec, task, tensors } = adapters[kind];
  const roles = [...tensors].map(([name, { dtype, shape }]) => ({ spec: { name, dtype, shape }, trained: true }));
  const adapter = planAdapter(spec, task, baseModel.manifest, roles);
  const encode = createExampleEncoder(task, baseModel.tokenizer, "tiny");
  const examples = examplesOf(kind).flatMap((example, index) => encode(example as never, index) ?? []);
  const numTargets = examples.reduce((sum, example) => sum + example.numTargets, 0);

  const versions = new BaseVersions({ baseModel, cacheFolder, clock: systemClock });
  const base = await versions.open(deltas, new Set(adapter.adapted.map(({ name }) => name)));
  const weights = readWeightPlaces(base.weightsFile);
  const artifact = await createGraphs(
    { baseModel, purpose: "train", task, adapter, batch: examples.length, memory, pairs: base.pairs },
    async (request) => base.place(await compileArtifact({ request, weights, outputFolder: join(cacheFolder, "a") })),
  )(64);
  const backend = await loadBackend(engine);
  const { weightsFile } = base;
  const executor = await backend.open({ artifact, weightsFile, engine, threads: 1, prepack: false });
  const batch = { examples, padTokenId: baseModel.tokenizer.padTokenId, weight: 1 / numTargets };
  const feeds = new Map(Object.entries(makeInputs(artifact.manifest, batch)));
  for (const { name, role, tensor = "", shape } of artifact.manifest.inputs) {
    const values: Partial<Record<typeof role, () => Float32Array>> = {
      adapter: () => toFloat32(tensors.get(tensor)!),
      scaling: () => Float32Array.of(adapter.scalings[tensor]!),
      "base-delta": () => toFloat32(base.pairs!.tensors.get(tensor)!),
    };
    const data = values[role]?.();
    if (data !== undefined) feeds.set(name, { dtype: "F32", shape, data });
  }
  const results = await runStep(executor, artifact, feeds);
  await executor.dispose();
  await base.release();
  return results;
}

const baseFolder = (kind: TinyKind): Promise<string> => modelFolder(kind, none);

describe("loss and gradients", () => {
  test.each([
    ["bert", 2],
    ["bert", 3],
    ["bert", 4],
    ["llama", 2],
    ["llama", 3],
    ["llama", 4],
  ] as const)("of %s at version %d are PyTorch's on the changed weights", async (kind, version) => {
    const golden = new SafetensorsFile(join(baseDeltaFolder, "golden.safetensors"));
    const prefix = `${kind}/${version}/`;
    const results = await step(kind, await baseFolder(kind), deltaFiles(kind, version));

    const names = [...golden.header.tensors.keys()].filter((name) => name.startsWith(prefix));
    expect(names).toHaveLength(results.size);
    for (const name of names) {
      const { shape } = golden.entry(name);
      const data = new Float32Array(new Float64Array(golden.read(name).bytes.slice().buffer));
      const actual = results.get(name.slice(prefix.length))!;
      const error = relativeError(
        { ...actual, shape: actual.shape.length === 0 ? [1] : actual.shape },
        { dtype: "F32", shape, data },
      );
      // In float32 these models are that far from float64, with whatever weights.
      expect(error, name).toBeLessThan(2e-5);
    }
    golden.close();
  });

  // Version 2 is a pair beside the weights, version 3 merged weights alone, version 4 both.
  test.each([
    ["bert", 2, "single"],
    ["bert", 3, "single"],
    ["bert", 4, "sharded"],
    ["llama", 2, "single"],
    ["llama", 2, "tied"],
    ["llama", 3, "single"],
    ["llama", 3, "tied"],
    ["llama", 3, "sharded"],
    ["llama", 4, "tied"],
    ["llama", 4, "sharded"],
  ] as const)(
    "of %s at version %d are those of a folder with the changed weights (%s)",
    async (kind, version, layout) => {
      const weights = await changedWeights(kind, version);
      const [base, changed] = [await modelFolder(kind, none, layout), await modelFolder(kind, weights, layout)];

      const actual = await step(kind, base, deltaFiles(kind, version));
      const expected = await step(kind, changed, []);

      expect([...actual.keys()]).toEqual([...expected.keys()]);
      for (const [name, value] of expected) {
        // Merged weights are the same bits; a pair rounds in another order, which these models make into 1e-5 (see above).
        const tolerance = version === 3 ? 0 : name === "loss" ? 1e-6 : 1e-5;
        expect(relativeError(actual.get(name), value), name).toBeLessThanOrEqual(tolerance);
      }
    },
  );
});

test.each<[TinyKind, string, StepOptions]>([
  ["bert", "in TensorFlow.js", { engine: "tfjs-cpu" }],
  ["llama", "in TensorFlow.js", { engine: "tfjs-cpu" }],
  ["bert", "with recomputation", { memory: "recompute" }],
  ["llama", "with recomputation", { memory: "recompute" }],
])("merged weights and a pair give %s the same loss and gradients %s", async (kind, _, options) => {
  const folder = await baseFolder(kind);
  const expected = await step(kind, folder, deltaFiles(kind));

  const actual = await step(kind, folder, deltaFiles(kind), options);

  for (const [name, value] of expected) expect(relativeError(actual.get(name), value), name).toBeLessThan(2e-5);
});

describe("a workbench", () => {
  const open = async (folder: string): Promise<ModelWorkbench & { readonly cacheFolder: string }> => {
    const cacheFolder = await temporary();
    const baseModel = await loadBaseModel(folder, { cacheFolder });
    const startOne = () => startEngine({ engine: "onnxruntime-cpu", threads: 1, prepack: false });
    return { ...openModelWorkbench({ baseModel, cacheFolder, startEngine: startOne }), cacheFolder };
  };
  const noSignal = new AbortController().signal;
  const ignore = (): void => undefined;

  test.each([
    ["bert", 2],
    ["bert", 4],
    ["llama", 4],
  ] as const)("trains, evaluates and uses %s at version %d as on the changed weights", async (kind, version) => {
    const adapter = adapters[kind];
    const plain = await open(await baseFolder(kind));
    const changed = await open(await modelFolder(kind, await changedWeights(kind, version)));
    const baseDeltas = deltaFiles(kind, version);
    const instructions = trainEverything(adapter, { localSteps: 3, batchSize: 3, optimizer: { learningRate: 1e-3 } });
    const request = requestOf(instructions, adapter.tensors, dataOf(examplesOf(kind), examplesOf(kind)));
    const run = async (workbench: ModelWorkbench, deltas: readonly BaseDelta[]) => {
      const { trained, metrics } = await workbench.trainer.train({ ...request, baseDeltas: deltas }, noSignal, ignore);
      const counts = await workbench.trainer.evaluate({ ...request, baseDeltas: deltas }, noSignal, ignore);
      const model = workbench.adapt(adapter, deltas);
      const used = kind === "bert" ? await model.classify(peft.bert.texts) : await model.generate("the meeting");
      return { trained, loss: metrics.trainLoss!, lossSum: counts.lossSum, used };
    };

    const actual = await run(plain, baseDeltas);
    const expected = await run(changed, []);
    const unchanged = await run(plain, []);

    expect(actual.loss / expected.loss).toBeCloseTo(1, 6);
    expect(actual.lossSum / expected.lossSum).toBeCloseTo(1, 6);
    expect(Math.abs(actual.lossSum - unchanged.lossSum)).toBeGreaterThan(1e-2);
    for (const [name, tensor] of expected.trained) {
      const [a, b] = [toFloat32(actual.trained.get(name)!), toFloat32(tensor)];
      a.forEach((value, i) => expect(value, name).toBeCloseTo(b[i]!, 5));
    }
    if (typeof expected.used === "string") expect(actual.used).toBe(expected.used);
    else {
      expected.used.forEach(({ label, score }, i) => {
        const classified = (actual.used as typeof expected.used)[i]!;
        expect(classified.label).toBe(label);
        expect(classified.score).toBeCloseTo(score, 5);
      });
    }
    expect(await plain.trainer.heldBaseDeltas!(baseDeltas.map(({ id }) => id))).toBe(version === 4 ? 3 : 0);
    await plain.close();
    await changed.close();
    const marks = version === 4 ? await readdir(join(plain.cacheFolder, "base-versions"), { recursive: true }) : [];
    expect(marks.filter((name) => /in-use.\d/u.test(name))).toEqual([]);
  });

  test("uses a model without an adapter on changed weights, pair and all", async () => {
    const plain = await open(await baseFolder("llama"));
    const changed = await open(await modelFolder("llama", await changedWeights("llama", 4)));

    const write = (model: ReturnType<ModelWorkbench["adapt"]>) => model.generate("free money", { maxNewTokens: 12 });

    const written = await write(plain.adapt(undefined, deltaFiles("llama", 4)));
    expect(written).toBe(await write(changed.adapt()));
    expect(written).not.toBe(await write(plain.adapt()));
    await plain.close();
    await changed.close();
  });

  test("refuses a delta that is not there before it trains", async () => {
    const workbench = await open(await baseFolder("bert"));
    const adapter = adapters.bert;
    const request = requestOf(trainEverything(adapter, {}), adapter.tensors, dataOf(examplesOf("bert")));

    const refused = workbench.trainer.train(
      { ...request, baseDeltas: [{ id: "0".repeat(64), source: undefined }] },
      noSignal,
      ignore,
    );

    await expect(refused).rejects.toMatchObject({ code: "file-missing" });
    await workbench.close();
  });
});
