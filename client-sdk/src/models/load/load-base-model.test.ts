import {
  elementCount,
  fromFloat32,
  readSafetensors,
  type StateDict,
  type Tensor,
  toFloat32,
  toStateDict,
  writeSafetensors,
} from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFamilyRegistry } from "./family-registry.js";
import { loadBaseModel } from "./load-base-model.js";
import { inspectModel } from "../inspect.js";
import type { ModelFamily } from "../family.js";

/** Two weights under names of its own; `position_ids` is not used. */
const toyFamily: ModelFamily = {
  name: "toy",
  modelTypes: ["toy", "ToyModel"],
  tasks: ["embedding"],
  parseConfig: (json) => json,
  describe: () => ({
    numLayers: 1,
    modules: [{ name: "toy.linear", kind: "linear", dIn: 3, dOut: 2, layer: 0 }],
    heads: [],
    weights: [
      { name: "toy.linear.weight", dtype: "F32", shape: [2, 3] },
      { name: "toy.embedding.weight", dtype: "F32", shape: [5, 3] },
    ],
  }),
  canonicalName: (stored) => {
    if (stored.includes("position_ids")) return undefined;
    return stored.startsWith("toy.") ? stored : `toy.${stored}`;
  },
  forward: () => {
    throw new Error("never run here");
  },
};
const registry = createFamilyRegistry([toyFamily]);

const ramp = (shape: readonly number[], dtype: "F32" | "F16" | "BF16"): Tensor =>
  fromFloat32(
    Float32Array.from({ length: elementCount(shape) }, (_, index) => index / 4 - 1),
    shape,
    dtype,
  );
const linear = ramp([2, 3], "F16");
const embedding = ramp([5, 3], "BF16");
const positions: Tensor = { dtype: "I64", shape: [1, 2], bytes: new Uint8Array(16) };

let folder: string;
let cacheFolder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-model-"));
  cacheFolder = join(folder, "cache", "weights");
  await writeFile(join(folder, "config.json"), JSON.stringify({ model_type: "toy", _name_or_path: "org/toy" }));
  await writeFile(
    join(folder, "tokenizer.json"),
    JSON.stringify({ added_tokens: [], model: { type: "WordPiece", unk_token: "u", vocab: { u: 0 } } }),
  );
});
afterEach(() => rm(folder, { recursive: true }));

const save = (name: string, tensors: Record<string, Tensor>): Promise<void> =>
  writeFile(join(folder, name), writeSafetensors(toStateDict(Object.entries(tensors))));
const saveSingle = (): Promise<void> =>
  save("model.fp16.safetensors", {
    "linear.weight": linear,
    "toy.embedding.weight": embedding,
    "embeddings.position_ids": positions,
  });
async function saveShards(): Promise<void> {
  await save("model-00001-of-00002.safetensors", { "linear.weight": linear, position_ids: positions });
  await save("model-00002-of-00002.safetensors", { "embedding.weight": embedding });
  await saveIndex({
    "linear.weight": "model-00001-of-00002.safetensors",
    "embedding.weight": "model-00002-of-00002.safetensors",
  });
}
const saveIndex = (weightMap: Record<string, string>): Promise<void> =>
  writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ metadata: {}, weight_map: weightMap }));
const load = () => loadBaseModel(folder, { cacheFolder, registry });

describe("manifest", () => {
  test("names, shapes, stored dtypes and the hash of the content", async () => {
    await saveSingle();

    const { manifest, maxPositions } = await load();

    expect(manifest).toMatchObject({ family: "toy", name: "org/toy", numLayers: 1, numParameters: 21 });
    expect(manifest.tensors).toEqual([
      { name: "toy.embedding.weight", dtype: "BF16", shape: [5, 3] },
      { name: "toy.linear.weight", dtype: "F16", shape: [2, 3] },
    ]);
    // python: sha256(json.dumps([[name, dtype, shape, sha256(bytes).hexdigest()], ...], separators=(",", ":")))
    expect(manifest.hash).toBe("6849de4ff6b772bac99f9f9d227ad427a01d365aff5ab7fe0487bdece64e16a6");
    expect(maxPositions).toBe(Number.POSITIVE_INFINITY);
    expect(await inspectModel(folder, { registry })).toEqual(manifest);
  });

  test("shards and other stored names change nothing", async () => {
    await saveSingle();
    const single = await inspectModel(folder, { registry });
    await rm(join(folder, "model.fp16.safetensors"));
    await saveShards();

    expect((await load()).manifest.hash).toBe(single.hash);
  });
});

describe("canonical weights file", () => {
  const readAll = async (path: string): Promise<StateDict> => readSafetensors(await readFile(path)).tensors;

  test("holds F32 values under canonical names, each at a multiple of 64 bytes", async () => {
    await saveShards();

    const path = await (await load()).weightsFile();

    const file = new SafetensorsFile(path);
    file.close();
    expect([...file.header.tensors.values()].map(({ offset }) => offset % 64)).toEqual([0, 0]);
    const tensors = await readAll(path);
    expect([...tensors.keys()]).toEqual(["toy.embedding.weight", "toy.linear.weight"].sort());
    expect(toFloat32(tensors.get("toy.linear.weight")!)).toEqual(toFloat32(linear));
    expect(toFloat32(tensors.get("toy.embedding.weight")!)).toEqual(toFloat32(embedding));
  });

  test("is written once, and again when it is damaged", async () => {
    await saveSingle();
    const path = await (await load()).weightsFile();
    const intact = await readFile(path);
    const written = (await readdir(cacheFolder)).sort();
    const { ino } = await stat(path);

    expect(await (await load()).weightsFile()).toBe(path);
    expect((await stat(path)).ino).toBe(ino);
    const damaged = Buffer.from(intact);
    damaged[damaged.length - 1] = 1;
    await writeFile(path, damaged);
    await (await load()).weightsFile();

    expect((await readFile(path)).equals(intact)).toBe(true);
    expect((await readdir(cacheFolder)).sort()).toEqual(written);
  });

  test("is refused when the model changed after it was hashed, and made when it is back", async () => {
    await saveSingle();
    const model = await load();
    // Same layout, other values: only the hash can tell.
    const zeros = { ...embedding, bytes: new Uint8Array(embedding.bytes.byteLength) };
    await save("model.fp16.safetensors", {
      "linear.weight": linear,
      "toy.embedding.weight": zeros,
      "embeddings.position_ids": positions,
    });

    await expect(model.weightsFile()).rejects.toMatchObject({ code: "model-hash-mismatch" });
    await saveSingle();

    await expect(model.weightsFile()).resolves.toContain(model.manifest.hash);
  });

  test("tensors larger than one piece come out whole", async () => {
    const large = ramp([700, 1000], "F16");
    const wide: ModelFamily = {
      ...toyFamily,
      describe: () => ({ ...toyFamily.describe({}), weights: [{ name: "toy.w", dtype: "F32", shape: [700, 1000] }] }),
    };
    await save("model.safetensors", { w: large });

    const model = await loadBaseModel(folder, { cacheFolder, registry: createFamilyRegistry([wide]) });

    const values = toFloat32((await readAll(await model.weightsFile())).get("toy.w")!);
    expect(
      Buffer.from(values.buffer, values.byteOffset, values.byteLength).equals(Buffer.from(toFloat32(large).buffer)),
    ).toBe(true);
  });
});

describe("what is wrong is named", () => {
  test.each([
    ["no config.json", () => rm(join(folder, "config.json")), "model-missing", /config\.json/u],
    [
      "a config.json that is no JSON",
      () => writeFile(join(folder, "config.json"), "{"),
      "file-invalid",
      /config\.json/u,
    ],
    [
      "a config.json that is a list",
      () => writeFile(join(folder, "config.json"), "[]"),
      "file-invalid",
      /JSON object/u,
    ],
    [
      "an unknown family",
      () => writeFile(join(folder, "config.json"), '{"model_type":"mamba","architectures":["MambaModel"]}'),
      "model-unsupported",
      /"mamba", "MambaModel"; supported are "toy"/u,
    ],
    ["no weights", () => rm(join(folder, "model.fp16.safetensors")), "model-missing", /found none/u],
    [
      "two candidates",
      () => save("other.safetensors", { a: linear }),
      "model-missing",
      /model.fp16.safetensors, other/u,
    ],
    ["no tokenizer", () => rm(join(folder, "tokenizer.json")), "model-missing", /tokenizer\.json/u],
    [
      "a missing tensor",
      () => save("model.fp16.safetensors", { "linear.weight": linear }),
      "file-invalid",
      /lacks the weight "toy\.embedding\.weight" \(looked in model\.fp16\.safetensors\)/u,
    ],
    [
      "a wrong shape",
      () => save("model.fp16.safetensors", { "linear.weight": ramp([3, 2], "F32"), "embedding.weight": embedding }),
      "tensor-invalid",
      /"linear\.weight" has shape \[3, 2\]; config\.json asks for \[2, 3\].*model\.fp16\.safetensors/u,
    ],
    [
      "a wrong dtype",
      () =>
        save("model.fp16.safetensors", {
          "linear.weight": { ...linear, dtype: "I8", bytes: new Uint8Array(6) },
          "embedding.weight": embedding,
        }),
      "model-unsupported",
      /is I8/u,
    ],
    [
      "one weight under two names",
      () =>
        save("model.fp16.safetensors", {
          "linear.weight": linear,
          "toy.linear.weight": linear,
          "embedding.weight": embedding,
        }),
      "file-invalid",
      /both the weight "toy\.linear\.weight"/u,
    ],
    [
      "a truncated file",
      async () => {
        const path = join(folder, "model.fp16.safetensors");
        await writeFile(path, (await readFile(path)).subarray(0, -5));
      },
      "safetensors-invalid",
      /model\.fp16\.safetensors/u,
    ],
    [
      "an index without a map",
      () => writeFile(join(folder, "model.safetensors.index.json"), "{}"),
      "file-invalid",
      /weight_map/u,
    ],
    [
      "an index that leaves the folder",
      () => saveIndex({ a: "../evil.safetensors" }),
      "file-invalid",
      /not a file in it/u,
    ],
    ["a missing shard", () => saveIndex({ a: "model-00001-of-00002.safetensors" }), "model-missing", /00001-of-00002/u],
    [
      "a shard without its tensor",
      () => saveIndex({ nowhere: "model.fp16.safetensors" }),
      "file-invalid",
      /model\.fp16\.safetensors" has no tensor "nowhere"/u,
    ],
  ] as const)("%s", async (_, damage, code, message) => {
    await saveSingle();
    await damage();

    await expect(load()).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  test("a folder that is not there", async () => {
    await expect(inspectModel(join(folder, "nowhere"), { registry })).rejects.toMatchObject({ code: "model-missing" });
  });

  test("an abort between tensors", async () => {
    await saveSingle();

    const signal = AbortSignal.abort();

    await expect(loadBaseModel(folder, { cacheFolder, registry, signal })).rejects.toMatchObject({ code: "cancelled" });
  });
});

test("two families may not claim one model type", () => {
  expect(() => createFamilyRegistry([toyFamily, { ...toyFamily, name: "other" }])).toThrow(/"toy"/u);
});
