import { blobIdOf, readSafetensors, type StateDict, toFloat32 } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { writeFileSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startEngine } from "../../engine/process/start-engine.js";
import type { SavedAdapter } from "../../lora/adapter-folder.js";
import { changedWeights, deltaFiles, type TinyKind } from "../../testing/changed-bases.js";
import {
  dataOf,
  openTinyWorkbench,
  peftFolder,
  readPeftGolden,
  type TinyWorkbench,
  trainEverything,
} from "../../testing/tiny-models.js";
import { openModelWorkbench } from "../../train/model-workbench.js";
import { loadBaseModel } from "../load/load-base-model.js";
import type { BaseDelta } from "./base-delta.js";
import { type MergedModelRequest, saveMergedModel } from "./save-merged-model.js";

let scratch: string;
let benches: Readonly<Record<TinyKind, TinyWorkbench>>;
let adapters: Readonly<Record<TinyKind, SavedAdapter>>;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "fedlora-merged-"));
  benches = { bert: await openTinyWorkbench("bert"), llama: await openTinyWorkbench("llama") };
  adapters = { bert: await benches.bert.readAdapter("patterns"), llama: await benches.llama.readAdapter("plain") };
});
afterAll(async () => {
  await Promise.all(Object.values(benches).map((bench) => bench.remove()));
  await rm(scratch, { recursive: true });
});

/** Mean loss per token of the completions. */
async function lossOf(
  { trainer }: Pick<TinyWorkbench, "trainer">,
  adapter: SavedAdapter,
  examples: readonly unknown[],
  baseDeltas: readonly BaseDelta[] = [],
): Promise<number> {
  const instructions = trainEverything(adapter, { localSteps: 1 });
  const request = { instructions, start: adapter.tensors, data: dataOf([], examples), baseDeltas };
  const { lossSum, count } = await trainer.evaluate(request, new AbortController().signal, () => undefined);
  return lossSum / count;
}

let count = 0;
async function merge(kind: TinyKind, changes: Partial<MergedModelRequest> = {}) {
  const target = join(scratch, `merged-${(count += 1)}`);
  const { manifest, folder } = benches[kind].baseModel;
  const merged = await saveMergedModel({
    modelFolder: folder,
    baseModelHash: manifest.hash,
    target,
    deltas: () => Promise.resolve(deltaFiles(kind)),
    adapter: adapters[kind],
    ...changes,
  });
  return { target, merged };
}

/** The same adapter with B of zeros: what is left are its heads. */
function headsOnly({ spec, task, tensors }: SavedAdapter): SavedAdapter {
  const entries = [...tensors].map(([name, tensor]) => {
    const isFactor = name.endsWith("lora_B.weight");
    return [name, isFactor ? { ...tensor, bytes: new Uint8Array(tensor.bytes.byteLength) } : tensor] as const;
  });
  return { spec, task, tensors: new Map(entries) };
}

/** The merged folder on an engine, with the heads that our models take from the adapter. */
async function openMerged(kind: TinyKind, folder: string) {
  const cacheFolder = await mkdtemp(join(scratch, "cache-"));
  const bench = openModelWorkbench({
    baseModel: await loadBaseModel(folder, { cacheFolder }),
    cacheFolder,
    startEngine: () => startEngine({ engine: "onnxruntime-cpu", threads: 1, prepack: false }),
  });
  return { model: bench.adapt(headsOnly(adapters[kind])), bench };
}

const weightsOf = async (folder: string): Promise<StateDict> =>
  readSafetensors(await readFile(join(folder, "model.safetensors"))).tensors;

describe("a merged model computes what base, deltas and adapter do", () => {
  test("bert: the logarithms of the probabilities, to 1e-4", async () => {
    const { texts } = (await readPeftGolden()).bert;
    const expected = await benches.bert.adapt(adapters.bert, deltaFiles("bert")).classify(texts);
    const plain = await benches.bert.adapt(adapters.bert).classify(texts);
    const { target } = await merge("bert");
    const { model, bench } = await openMerged("bert", target);

    const results = await model.classify(texts);
    await bench.close();

    const logs = (of: typeof results) => of.flatMap(({ scores }) => Object.values(scores).map(Math.log));
    logs(results).forEach((value, at) => expect(value).toBeCloseTo(logs(expected)[at]!, 4));
    const moved = Math.max(...logs(plain).map((value, at) => Math.abs(value - logs(expected)[at]!)));
    expect(moved).toBeGreaterThan(0.01);
  });

  test("llama: the losses to 1e-4, and the texts that it writes", async () => {
    const { examples } = (await readPeftGolden()).llama;
    const { target } = await merge("llama");
    const { bench } = await openMerged("llama", target);
    const ours = await lossOf(bench, headsOnly(adapters.llama), examples);
    const theirs = await lossOf(benches.llama, adapters.llama, examples, deltaFiles("llama"));
    const [one, other] = [
      await bench.adapt(headsOnly(adapters.llama)).generate(examples[0]!.prompt, { maxNewTokens: 8 }),
      await benches.llama.adapt(adapters.llama, deltaFiles("llama")).generate(examples[0]!.prompt, { maxNewTokens: 8 }),
    ];
    await bench.close();

    expect(ours).toBeCloseTo(theirs, 4);
    expect(Math.abs(ours - (await lossOf(benches.llama, adapters.llama, examples)))).toBeGreaterThan(0.01);
    expect(one).toBe(other);
  });
});

describe("the folder", () => {
  test.each(["bert", "llama"] as const)(
    "of %s has W + deltas + s B A, float64 sums rounded once, and else W",
    async (kind) => {
      const { target, merged } = await merge(kind, { adapter: headsOnly(adapters[kind]) });
      const after = await weightsOf(target);

      const changed = new Map(
        [...(await changedWeights(kind, 4))].map(([name, tensor]) => [kind === "bert" ? `bert.${name}` : name, tensor]),
      );
      const before = await weightsOf(benches[kind].baseModel.folder);
      expect(merged.numModules).toBeGreaterThanOrEqual(changed.size);
      for (const [name, tensor] of after) {
        if (name.startsWith("classifier")) continue;
        const stored = before.get(kind === "bert" ? name.slice("bert.".length) : name)!;
        expect(toFloat32(tensor), name).toEqual(toFloat32(changed.get(name) ?? stored));
      }
      expect([...after.values()].every(({ dtype }) => dtype === "F32")).toBe(true);
    },
  );

  test("has the heads, the labels, the class of the task and the tokenizer", async () => {
    const { target } = await merge("bert");

    const after = await weightsOf(target);
    const adapter = adapters.bert.tensors;
    for (const part of ["weight", "bias"]) {
      const expected = toFloat32(adapter.get(`base_model.model.classifier.${part}`)!);
      expect(toFloat32(after.get(`classifier.${part}`)!)).toEqual(expected);
    }
    expect(JSON.parse(await readFile(join(target, "config.json"), "utf8"))).toMatchObject({
      architectures: ["BertForSequenceClassification"],
      model_type: "bert",
      id2label: { 0: "no", 1: "maybe", 2: "yes" },
      label2id: { no: 0, maybe: 1, yes: 2 },
      dtype: "float32",
    });
    expect((await readdir(target)).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
  });

  test("G39: takes the adapter's scaling and B A as PEFT means them", async () => {
    const { target } = await merge("llama", { deltas: () => Promise.resolve([]) });
    const name = "model.layers.0.mlp.down_proj"; // [16, 20]: a transposed product would not even fit
    const after = toFloat32((await weightsOf(target)).get(`${name}.weight`)!);
    const base = toFloat32((await weightsOf(benches.llama.baseModel.folder)).get(`${name}.weight`)!);
    const { spec, tensors } = adapters.llama;
    const a = toFloat32(tensors.get(`base_model.model.${name}.lora_A.weight`)!);
    const b = toFloat32(tensors.get(`base_model.model.${name}.lora_B.weight`)!);
    const scaling = (spec.alpha ?? 2 * spec.rank) / spec.rank;

    for (let row = 0; row < 16; row++) {
      for (let column = 0; column < 20; column++) {
        let product = 0;
        for (let k = 0; k < spec.rank; k++) product += b[row * spec.rank + k]! * a[k * 20 + column]!;
        expect(after[row * 20 + column]).toBeCloseTo(base[row * 20 + column]! + scaling * product, 6);
      }
    }
  });
});

describe("refused", () => {
  test("another base model, by both hashes", async () => {
    const baseModelHash = blobIdOf(new Uint8Array(1), nodeSha256) as never;

    await expect(
      merge("bert", { baseModelHash, deltas: () => Promise.reject(new Error("asked")) }),
    ).rejects.toMatchObject({
      code: "model-hash-mismatch",
      details: { expected: baseModelHash, got: benches.bert.baseModel.manifest.hash },
    });
  });

  test("a model that is not there, a merge that is stopped", async () => {
    await expect(merge("bert", { modelFolder: join(scratch, "none") })).rejects.toMatchObject({
      code: "model-missing",
    });
    await expect(merge("bert", { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "cancelled" });
  });

  test("a model that changes while it is merged leaves no folder that counts as a model", async () => {
    const folder = join(scratch, "changing");
    await cp(join(peftFolder, "llama", "base"), folder, { recursive: true });
    const file = join(folder, "model.safetensors");
    const bytes = await readFile(file);
    bytes[bytes.length - 1] = 1;
    const target = join(scratch, "half");
    const merging = saveMergedModel({
      modelFolder: folder,
      baseModelHash: benches.llama.baseModel.manifest.hash,
      target,
      deltas: () => Promise.resolve([]),
      adapter: adapters.llama,
      onProgress: () => writeFileSync(file, bytes),
    });

    await expect(merging).rejects.toMatchObject({ code: "model-hash-mismatch" });
    expect(await readdir(target)).toEqual([]);
  });
});
