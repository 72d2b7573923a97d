import { FederatedClient, type LocalTrainer, type TrainRequest, type TrainResult } from "@fedlora/client-sdk";
import {
  codecOf,
  compileRunSpec,
  fromFloat32,
  openEncoded,
  readSafetensors,
  toFloat32,
  type BaseModelHash,
  type ModelManifest,
  type RunSpecInput,
  type TensorSpec,
} from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestCoordinator, type TestCoordinator } from "./test-coordinator.js";

/** Nobody loads it: the clients bring a trainer. */
const manifest: ModelManifest = {
  format: "fedlora-model/1",
  family: "bert",
  name: "toy",
  hash: "ab".repeat(32) as BaseModelHash,
  numLayers: 1,
  numParameters: 1,
  modules: [{ name: "encoder.query", kind: "linear", dIn: 24, dOut: 16, layer: 0 }],
  heads: [{ name: "classifier", kind: "linear", dIn: 16, dOut: null }],
  tensors: [],
};
const members = ["ada", "brendan", "chen"];
const rounds = 15;

let opened: TestCoordinator;
beforeAll(async () => {
  opened = await openTestCoordinator("codecs");
  await opened.coordinator.service.admin.registerModel(manifest);
});
afterAll(() => opened.close());

/** Where client k wants value i of a tensor to go. */
const targetOf = (client: number, { name }: { readonly name: string }, i: number): number =>
  Math.sin(7 * i + 3 * client + name.length) * (1 + (i % 5));
/** A round's change of a value that starts at `value`. */
const stepOf = (client: number, spec: TensorSpec, i: number, value: number): number =>
  0.2 * (targetOf(client, spec, i) - value);

/** Moves every value a fifth of the way to where this client wants it. */
class ToyTrainer implements LocalTrainer {
  readonly #client: number;
  readonly requests: TrainRequest[] = [];

  constructor(client: number) {
    this.#client = client;
  }

  train(request: TrainRequest): Promise<TrainResult> {
    this.requests.push(request);
    const trained = request.instructions.roles
      .filter((role) => role.trained)
      .map(({ spec }) => {
        const values = toFloat32(request.start.get(spec.name)!);
        const moved = values.map((value, i) => value + stepOf(this.#client, spec, i, value));
        return [spec.name, fromFloat32(moved, spec.shape)] as const;
      });
    const metrics = { numExamples: 10, numSteps: 1, trainLoss: 1, evaluation: undefined, trainMs: 1 };
    return Promise.resolve({ trained: new Map(trained), metrics, optimizerState: undefined, stepMs: 1 });
  }

  evaluate(): Promise<never> {
    return Promise.reject(new Error("nothing is evaluated"));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

interface Outcome {
  readonly first: TrainRequest;
  readonly global: readonly number[];
  readonly bytesUp: number;
}

/** A run over gRPC with the SDK's clients: what it started from, the last global adapter and the bytes that came up. */
async function federate(name: string, changes: Partial<RunSpecInput>): Promise<Outcome> {
  const { folder, coordinator } = opened;
  const { admin } = coordinator.service;
  const input: RunSpecInput = {
    name,
    model: { hash: manifest.hash },
    task: { kind: "sequence-classification", labels: ["ham", "spam"] },
    adapter: { rank: 4, targetModules: ["query"] },
    rounds,
    cohort: { size: members.length, quorum: members.length },
    weighting: { kind: "uniform" },
    evaluation: { every: 0 },
    ...changes,
  };
  const { runId } = (await admin.createRun(name, compileRunSpec(input))).summary;
  const trainers = members.map((_, index) => new ToyTrainer(index));
  await Promise.all(
    members.map(async (member, index) => {
      const client = new FederatedClient({
        coordinator: coordinator.address,
        name: member,
        baseModel: "unused",
        stateFolder: join(folder, name, member),
        data: { name: member, train: () => [] },
        trainer: trainers[index]!,
        baseModelHash: manifest.hash,
        runId,
        retry: { baseDelayMs: 20, maxDelayMs: 200 },
      });
      for await (const event of client.run()) {
        if (event.type === "declined" || event.type === "refused") throw new Error(`${event.type}: ${event.code}`);
      }
      await client.close();
    }),
  );
  const { rounds: summaries, summary } = await admin.getRun(runId);
  expect([summary.state, summaries.length]).toEqual(["completed", rounds]);
  const kept = await readFile(join(folder, name, members[0]!, "global-adapter.safetensors"));
  return {
    first: trainers[0]!.requests[0]!,
    global: [...readSafetensors(kept).tensors.values()].flatMap((tensor) => [...toFloat32(tensor)]),
    bytesUp: summaries.reduce((sum, { bytesUp }) => sum + bytesUp, 0),
  };
}

/** The same federation in a few lines of arithmetic. */
function simulate({ instructions, start }: TrainRequest, codecName: string, feedback: boolean): number[] {
  const layout = instructions.roles.map(({ spec }) => spec);
  const codec = codecOf(codecName);
  const global = new Map(layout.map(({ name }) => [name, [...toFloat32(start.get(name)!)]]));
  const left = members.map(() => new Map<string, number[]>());
  for (let round = 1; round <= rounds; round += 1) {
    const sums = new Map(layout.map(({ name }) => [name, global.get(name)!.map(() => 0)]));
    for (const client of members.keys()) {
      const wanted = new Map(
        layout.map((spec) => [
          spec.name,
          global.get(spec.name)!.map((x, i) => stepOf(client, spec, i, x) + (left[client]!.get(spec.name)?.[i] ?? 0)),
        ]),
      );
      const sent = codec.encode(layout, (name) => Float32Array.from(wanted.get(name)!));
      const values = openEncoded(codec.decoder(layout), sent);
      for (const { name } of layout) {
        const received = values(name);
        received.forEach((x, i) => (sums.get(name)![i]! += x));
        if (feedback)
          left[client]!.set(
            name,
            wanted.get(name)!.map((x, i) => x - received[i]!),
          );
      }
    }
    for (const { name } of layout) sums.get(name)!.forEach((sum, i) => (global.get(name)![i]! += sum / members.length));
  }
  return layout.flatMap(({ name }) => global.get(name)!);
}

const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.hypot(...a.map((value, i) => value - b[i]!)) / Math.hypot(...b);

test("clients and coordinator do over the wire what the codecs and error feedback say", async () => {
  const [exact, int8, sparse, forgetful] = await Promise.all([
    federate("exact", {}),
    federate("blocks", { codec: "int8" }),
    federate("sparse", { codec: "topk:.5" }),
    federate("forgetful", { codec: "topk:.5", errorFeedback: false }),
  ]);

  expect(distance(exact.global, simulate(exact.first, "f32", false))).toBeLessThan(1e-5);
  // A value on the edge of two steps may fall to either side.
  expect(distance(int8.global, simulate(int8.first, "int8", true))).toBeLessThan(1e-3);
  expect(distance(sparse.global, simulate(sparse.first, "topk:.5", true))).toBeLessThan(1e-4);
  expect(distance(forgetful.global, simulate(forgetful.first, "topk:.5", false))).toBeLessThan(1e-4);
  expect(distance(int8.global, exact.global)).toBeLessThan(0.01);
  expect(distance(sparse.global, exact.global)).toBeLessThan(0.8 * distance(forgetful.global, exact.global));
  expect(sparse.bytesUp).toBeLessThan(int8.bytesUp);
  expect(int8.bytesUp).toBeLessThan(exact.bytesUp);
});
