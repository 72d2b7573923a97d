import { builtinMethods, type MethodDefinition } from "@fedlora/aggregators";
import { AdminClient, FederatedClient } from "@fedlora/client-sdk";
import {
  compileRunSpec,
  elementCount,
  fromFloat32,
  initialAdapter,
  resolveAdapter,
  toStateDict,
  writeSafetensors,
  type RunSpecInput,
  type Tensor,
} from "@fedlora/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { model, TinyFederation } from "./tiny-federation.js";

const members = ["ada", "brendan", "chen", "dana", "emil", "fay", "gus"];

let federation: TinyFederation;
beforeAll(async () => {
  federation = await TinyFederation.open("methods");
});
afterAll(() => federation.close());

function specOf({ name, capabilities }: MethodDefinition, changes: Partial<RunSpecInput>): RunSpecInput {
  const variant = capabilities.variants.includes("lora") ? "lora" : capabilities.variants[0];
  return federation.spec({
    name,
    adapter: { rank: 2, targetModules: ["query", "value"], variant: variant as "lora" },
    method: { name },
    rounds: 3,
    cohort: { size: 3, quorum: 3 },
    weighting: { kind: capabilities.weightings.includes("by-examples") ? "by-examples" : "uniform" },
    training: { localSteps: 3, batchSize: 4, optimizer: { learningRate: 0.01 } },
    ...changes,
  });
}

const federate = (input: RunSpecInput) => federation.train(input, members.slice(0, input.cohort.size));

/** What a method needs beside its name. */
const needs: Readonly<Record<string, Partial<RunSpecInput>>> = {
  krum: { cohort: { size: 5, quorum: 5 } },
  "multi-krum": { cohort: { size: 5, quorum: 5 } },
  bulyan: { cohort: { size: 7, quorum: 7 } },
};

describe("every method trains a real model over real gRPC", () => {
  test.each([...builtinMethods.values()].map((definition) => [definition.name, definition] as const))(
    "%s",
    async (name, definition) => {
      const { detail, failures } = await federate(specOf(definition, needs[name] ?? {}));

      expect(failures).toEqual([]);
      expect(detail.summary).toMatchObject({ state: "completed" });
      expect(detail.rounds.map(({ accepted, planned }) => accepted === planned)).toEqual([true, true, true]);
      for (const { evaluation, trainLoss, methodMetrics } of detail.rounds) {
        expect(Number.isFinite(evaluation?.loss)).toBe(true);
        expect(trainLoss === undefined || Number.isFinite(trainLoss)).toBe(true);
        for (const value of Object.values(methodMetrics)) expect(Number.isFinite(value)).toBe(true);
      }
      expect(new Set(detail.rounds.map(({ adapterBlobId }) => adapterBlobId)).size).toBe(3);
    },
  );
});

test("a client keeps the result of a run that changed the base weights, and can use it", async () => {
  const { runId } = await federate({ ...specOf(builtinMethods.get("fedex-lora")!, {}), name: "kept" });
  const client = new FederatedClient({
    coordinator: federation.coordinator.address,
    name: "late",
    baseModel: model,
    stateFolder: federation.stateFolder(runId, "late"),
    data: { name: "late", train: () => [] },
    engine: { engine: "onnxruntime-cpu", threads: 1 },
    runId,
  });

  // It comes when all is over, and gets the adapter with the two changes that it counts on.
  const { state } = await client.runToEnd();
  const adapted = await client.model();
  const [answer] = await adapted.classify(["win a prize today"]);
  await client.close();

  expect(state).toBe("completed");
  expect(answer!.scores["ham"]! + answer!.scores["spam"]!).toBeCloseTo(1, 5);
});

test("a run starts from a file that was sent before it, taken out of the base weights where it says so", async () => {
  const admin = new AdminClient({ coordinator: federation.coordinator.address });
  const spec = (hash: string): RunSpecInput => ({
    ...specOf(builtinMethods.get("fedavg")!, {}),
    name: "from-file",
    adapter: { rank: 2, targetModules: ["query"], init: { kind: "file", hash, subtracted: true } },
  });
  const { adapter, task } = compileRunSpec(spec("0".repeat(64)));
  const start = initialAdapter(resolveAdapter(adapter, federation.workbench.baseModel.manifest, task), 7);
  const filled = [...start].map(([name, { shape }]): [string, Tensor] => {
    const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i) / 10);
    return [name, fromFloat32(values, shape)];
  });
  const file = writeSafetensors(toStateDict(filled));
  const missing = federate(spec("12".repeat(32)));
  await expect(missing).rejects.toMatchObject({
    code: "adapter-invalid",
    message: expect.stringContaining("--adapter"),
  });

  const hash = await admin.putBlob(file);
  const { detail, failures, runId } = await federate({ ...spec(hash), name: "from-a-file" });

  expect(failures).toEqual([]);
  expect(detail.summary.state).toBe("completed");
  // B0 A0 is in the adapter and out of the base: a plain adapter would be another model.
  await expect(admin.getExport(runId, 0, "peft")).rejects.toMatchObject({ code: "export-refused" });
  expect((await admin.getExport(runId, 0, "stacked")).baseDeltas).toMatchObject([{ fromVersion: 0, toVersion: 1 }]);
  admin.close();
});

/** Choices that go with several methods, each once with one that allows it. */
const choices: readonly (readonly [string, string, Partial<RunSpecInput>])[] = [
  ["FedProx", "fedavg", { training: { localSteps: 2, batchSize: 4, proximalMu: 0.1 } }],
  [
    "SCAFFOLD",
    "fedavg",
    {
      training: { localSteps: 2, batchSize: 4, controlVariates: true, optimizer: { kind: "sgd", learningRate: 0.01 } },
    },
  ],
  ["FedAdam", "fedex-lora", { serverOptimizer: { kind: "fedadam", learningRate: 0.01 } }],
  ["int8 with error feedback", "fedavg", { codec: "int8:32" }],
  ["top-k with error feedback", "ffa-lora", { codec: "topk:0.1" }],
  ["rank-stabilised scaling", "fedsa-lora", { adapter: { rank: 2, targetModules: ["query"], rslora: true } }],
  ["VeRA", "fedsa-lora", { adapter: { rank: 2, targetModules: ["query"], variant: "vera" } }],
  [
    "LoRA-SB's start",
    "fed-sb",
    { adapter: { rank: 2, targetModules: ["query"], variant: "latent", init: { kind: "gradient", examples: 8 } } },
  ],
  [
    "EVA's start",
    "ffa-lora",
    { adapter: { rank: 2, targetModules: ["query"], init: { kind: "activation", examples: 8, iterations: 1 } } },
  ],
  [
    "buffered rounds",
    "ffa-lora",
    { cohort: { size: 3, quorum: 1 }, policy: { kind: "buffered", bufferSize: 2, maxStaleness: 4 } },
  ],
];

describe("choices of a run work on a real model over real gRPC", () => {
  test.each(choices)("%s with %s", async (choice, method, changes) => {
    const name = choice.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
    const { detail, failures } = await federate({ ...specOf(builtinMethods.get(method)!, changes), name });

    expect(failures).toEqual([]);
    expect(detail.summary).toMatchObject({ state: "completed", rounds: 3 });
    expect(new Set(detail.rounds.map(({ adapterBlobId }) => adapterBlobId)).size).toBe(3);
    for (const { evaluation } of detail.rounds) expect(Number.isFinite(evaluation?.loss ?? 0)).toBe(true);
  });
});
