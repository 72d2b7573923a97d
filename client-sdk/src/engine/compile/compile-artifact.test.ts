import type { BaseModelHash } from "@fedlora/core";
import { SafetensorsFile, writeSafetensorsFile } from "@fedlora/core/node";
import { mkdtemp, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { builtInFamilies } from "../../models/load/family-registry.js";
import type { ArtifactRequest, WeightPlace, WeightPlaces } from "../artifact.js";
import { floats, GoldenModel, relativeError, runStep } from "../testing/golden-model.js";
import { readWeightPlaces } from "../weight-places.js";
import { compileArtifact, compileGraph } from "./compile-artifact.js";
import { onnxSchema } from "./onnx-schema.js";

const miniLm = {
  vocab_size: 30_522,
  hidden_size: 384,
  num_hidden_layers: 6,
  num_attention_heads: 12,
  intermediate_size: 1536,
};
const smolLm = {
  vocab_size: 49_152,
  hidden_size: 576,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  intermediate_size: 1536,
  tie_word_embeddings: true,
};

/** A request for a model that exists as shapes only. */
function requestOf(
  family: "bert" | "llama",
  config: Readonly<Record<string, unknown>>,
  changes: Partial<ArtifactRequest> = {},
): { readonly request: ArtifactRequest; readonly weights: WeightPlaces } {
  const found = builtInFamilies.find(({ name }) => name === family)!;
  const description = found.describe(found.parseConfig(config));
  let offset = 0;
  const weights = new Map<string, WeightPlace>();
  for (const { name, shape } of description.weights) {
    const length = 4 * shape.reduce((product, size) => product * size, 1);
    weights.set(name, { dtype: "F32", shape, offset, length });
    offset += length;
  }
  const isEncoder = family === "bert";
  const request: ArtifactRequest = {
    baseModelHash: "0".repeat(64) as BaseModelHash,
    family,
    config,
    purpose: "train",
    task: isEncoder
      ? { kind: "sequence-classification", labels: ["a", "b"], maxTokens: 128 }
      : { kind: "causal-lm", maxTokens: 64, maskPrompt: true },
    batch: isEncoder ? 8 : 4,
    length: isEncoder ? 128 : 64,
    adapted: description.modules
      .filter(({ name }) => /(query|value|q_proj|v_proj)$/.test(name))
      .map(({ name }) => ({ name, rank: 8, trained: true })),
    modulesToSave: isEncoder ? ["classifier"] : [],
    privacy: "none",
    memory: "plain",
    dropout: false,
    baseDeltaRank: 0,
    ...changes,
  };
  return { request, weights };
}

function operations(graph: Uint8Array): string[] {
  const model = protobuf.Root.fromJSON(onnxSchema).lookupType("onnx.ModelProto").decode(graph);
  const { node } = (model as unknown as { graph: { node: { opType: string }[] } }).graph;
  return node.map(({ opType }) => opType);
}

/** The same request with adapters trained in the last layers only. */
function trainedFrom(request: ArtifactRequest, lowest: number): ArtifactRequest {
  const layerOf = (name: string): number => Number(/layers?\.(\d+)\./.exec(name)?.[1]);
  return { ...request, adapted: request.adapted.map((m) => ({ ...m, trained: layerOf(m.name) >= lowest })) };
}

describe("the graph", () => {
  test("a 30-layer decoder takes less than 2 MB without its weights", () => {
    const { manifest, graph } = compileGraph(requestOf("llama", smolLm));

    expect(graph.byteLength).toBeLessThan(2e6);
    expect(manifest.weights).toHaveLength(2 + 9 * 30);
    // 137.7 GFLOP, the convention of the benchmark.
    expect(manifest.flops).toBe(137_707_388_928);
  });

  test("an encoder's FLOPs count attention, and one row per text in most of the last layer; evaluation counts one pass", () => {
    const { request, weights } = requestOf("bert", miniLm);
    const { hidden_size: d, intermediate_size: ffn } = miniLm;
    const [batch, length] = [8, 128];
    const matrices = 5 * 2 * batch * length * (4 * d * d + 2 * d * ffn);
    const last = 2 * batch * length * 2 * d * d + 2 * batch * (2 * d * d + 2 * d * ffn);
    const attention = 4 * d * batch * (5 * length * length + length);

    expect(compileGraph({ request, weights }).manifest.flops).toBe(2 * (matrices + last) + 3 * attention);
    const evaluation = compileGraph({ request: { ...request, purpose: "evaluate" }, weights }).manifest;
    expect(evaluation.flops).toBe(matrices + last + attention);
    expect(evaluation.graphFile).toBe("evaluate.onnx");
  });

  test("layers below the lowest trained one have no backward pass", () => {
    const { request, weights } = requestOf("bert", miniLm);
    const count = (lowest: number): number =>
      operations(compileGraph({ request: trainedFrom(request, lowest), weights }).graph).length;

    const counts = [0, 1, 2, 3, 4, 5].map(count);

    // Every layer taken out removes the same number of nodes, but the first, whose lower end is cheaper already, and the
    // last, which reads one position.
    const perLayer = counts.slice(2, -1).map((value, i) => (counts[i + 1] ?? 0) - value);
    expect(new Set(perLayer).size).toBe(1);
    expect(perLayer[0]).toBeGreaterThan(30);
    expect(compileGraph({ request: trainedFrom(request, 5), weights }).manifest.flops).toBeLessThan(30e9);
  });

  test("recomputation needs a fraction of the activations and says which optimizer would undo it", () => {
    const { request, weights } = requestOf("llama", { ...smolLm, vocab_size: 1024 });

    const plain = compileGraph({ request, weights }).manifest;
    const recompute = compileGraph({ request: { ...request, memory: "recompute" }, weights }).manifest;

    expect(recompute.activationBytes).toBeLessThan(plain.activationBytes / 4);
    expect(plain.disabledOptimizers).toEqual([]);
    expect(recompute.disabledOptimizers).toEqual(["CommonSubexpressionElimination"]);
  });

  test("a request that contradicts the model is refused", () => {
    const { request, weights } = requestOf("bert", miniLm);
    const attempt =
      (changes: Partial<ArtifactRequest>, places = weights): (() => unknown) =>
      () =>
        compileGraph({ request: { ...request, ...changes }, weights: places });
    const invalid = expect.objectContaining({ code: "artifact-invalid" }) as unknown;

    for (const changes of [
      { adapted: [{ name: "bert.encoder.layer.9.attention.self.query", rank: 8, trained: true }] },
      { adapted: [{ name: "bert.encoder.layer.0.attention.self.query", rank: 0, trained: true }] },
      { adapted: [], modulesToSave: [] },
      { modulesToSave: ["score"] },
      { purpose: "generate" as const },
      { length: 513, config: { ...miniLm, max_position_embeddings: 512 } },
      { batch: 0 },
    ]) {
      expect(attempt(changes)).toThrow(invalid);
    }
    const without = new Map([...weights].filter(([name]) => name !== "bert.pooler.dense.bias"));
    expect(attempt({}, without)).toThrow(/bert\.pooler\.dense\.bias/);
    expect(attempt({ family: "gpt" })).toThrow(/gpt/);
  });
});

describe("the folder", () => {
  test("is found again, and replaced when its graph is damaged", async () => {
    const golden = new GoldenModel("bert-tiny");
    const options = {
      request: golden.request("train"),
      weights: readWeightPlaces(golden.weightsFile),
      outputFolder: await mkdtemp(join(tmpdir(), "fedlora-compile-")),
    };
    const first = await compileArtifact(options);
    const graph = join(first.folder, "step.onnx");
    const written = await readFile(graph);
    const { ino } = await stat(graph);

    const second = await compileArtifact(options);
    expect(second).toEqual(first);
    expect((await stat(graph)).ino).toBe(ino);

    await writeFile(graph, "damaged");
    const third = await compileArtifact(options);
    expect(third).toEqual(first);
    expect(await readFile(graph)).toEqual(written);
  });

  test("several compilations at once end in one folder", async () => {
    const golden = new GoldenModel("llama-tied");
    const options = {
      request: golden.request("train"),
      weights: readWeightPlaces(golden.weightsFile),
      outputFolder: await mkdtemp(join(tmpdir(), "fedlora-compile-")),
    };

    const folders = await Promise.all([1, 2, 3].map(async () => (await compileArtifact(options)).folder));

    expect(new Set(folders).size).toBe(1);
  });
});

describe("one step", () => {
  test("with only the upper layer trained has the same gradients there", async () => {
    const golden = new GoldenModel("llama-tied");
    const artifact = await golden.compile(trainedFrom(golden.request("train"), 1));
    const executor = await golden.open(artifact, "onnxruntime-cpu");

    const results = await runStep(executor, artifact, golden.feeds(artifact));

    await executor.dispose();
    const tensors = golden.names("gradient:").filter((name) => name.includes("layers.1."));
    expect(results.size).toBe(1 + tensors.length);
    for (const tensor of tensors) {
      const error = relativeError(results.get(`gradient:${tensor}`), golden.tensor(`gradient:${tensor}`));
      expect(error, tensor).toBeLessThan(1e-4);
    }
  });

  test("a dropout mask of ones changes nothing; of zeros, nothing reaches A and B", async () => {
    const golden = new GoldenModel("bert-tiny");
    const artifact = await golden.compile(golden.request("train", { dropout: true }));
    const executor = await golden.open(artifact, "onnxruntime-cpu");
    const masks = (value: number): Record<string, ReturnType<typeof floats>> =>
      Object.fromEntries(
        artifact.manifest.inputs
          .filter(({ role }) => role === "dropout-mask")
          .map(({ name, shape }) => [
            name,
            floats(shape, new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value)),
          ]),
      );

    const ones = await runStep(executor, artifact, golden.feeds(artifact, masks(1)));
    const zeros = await runStep(executor, artifact, golden.feeds(artifact, masks(0)));

    await executor.dispose();
    const tensor = golden.names("gradient:").find((name) => name.includes("query.lora_A"))!;
    expect(relativeError(ones.get(`gradient:${tensor}`), golden.tensor(`gradient:${tensor}`))).toBeLessThan(1e-4);
    expect(zeros.get(`gradient:${tensor}`)?.data.every((value) => value === 0)).toBe(true);
  });

  test("a base delta counts as a changed weight", async () => {
    const golden = new GoldenModel("llama-tied");
    const module = "model.layers.0.self_attn.q_proj";
    const rank = 2;
    const [a, b] = [numbers(rank * 32, 0.1), numbers(32 * rank, 0.2)];
    const changed = await changedWeights(golden.weightsFile, `${module}.weight`, (row, column) =>
      Array.from({ length: rank }, (_, k) => b[row * rank + k]! * a[k * 32 + column]!).reduce((x, y) => x + y),
    );
    const plain = await golden.compile(golden.request("train"), changed);
    const withDelta = await golden.compile(golden.request("train", { baseDeltaRank: rank }));
    const deltas = Object.fromEntries(
      withDelta.manifest.inputs
        .filter(({ role }) => role === "base-delta")
        .map(({ name, shape }) => {
          const values = name.includes(`${module}.lora_A`) ? a : name.includes(`${module}.lora_B`) ? b : [];
          const size = shape[0]! * shape[1]!;
          return [name, floats(shape, values.length === 0 ? new Float32Array(size) : values)] as const;
        }),
    );

    const merged = await golden.open(plain, "onnxruntime-cpu", changed);
    const expected = await runStep(merged, plain, golden.feeds(plain));
    const executor = await golden.open(withDelta, "onnxruntime-cpu");
    const actual = await runStep(executor, withDelta, golden.feeds(withDelta, deltas));

    await Promise.all([merged.dispose(), executor.dispose()]);
    expect(relativeError(expected.get("loss"), golden.tensor("loss"))).toBeGreaterThan(1e-4);
    for (const [name, value] of expected) expect(relativeError(actual.get(name), value), name).toBeLessThan(1e-4);
  });
});

function numbers(count: number, scale: number): number[] {
  return Array.from({ length: count }, (_, i) => scale * Math.sin(1 + 1.3 * i));
}

/** A copy of a weights file in which one matrix has something added. */
async function changedWeights(
  path: string,
  changed: string,
  change: (row: number, column: number) => number,
): Promise<string> {
  const file = new SafetensorsFile(path);
  const copy = join(await mkdtemp(join(tmpdir(), "fedlora-weights-")), "weights.safetensors");
  const layout = [...file.header.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  await writeSafetensorsFile(copy, layout, (name) => {
    const { bytes, shape } = file.read(name);
    if (name !== changed) return bytes;
    const values = new Float32Array(bytes.slice().buffer);
    const [, columns = 1] = shape;
    return new Uint8Array(values.map((value, i) => value + change(Math.floor(i / columns), i % columns)).buffer);
  });
  file.close();
  return copy;
}
