import {
  codecOf,
  elementCount,
  fromFloat32,
  openEncoded,
  readSafetensors,
  toFloat32,
  toStateDict,
  writeSafetensors,
  type BlobId,
  type ErrorCode,
  type PlanInstructions,
  type RoundPlan,
  type StateDict,
  type Tensor,
  type TensorLayout,
} from "@fedlora/core";
import { commitToWire, type CommitQuestion } from "@fedlora/proto";
import { hash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";

import { Intake, intakeDefaults } from "../intake/intake.js";
import { createUpdateValidator } from "../intake/validate-blob.js";
import { refOf } from "../server/testing/harness.js";
import { ClockedFederation } from "../testing/clocked-federation.js";

const names = ["ann", "bob", "eve"] as const;

/** A federation whose clients deliver through the real intake. */
class CodedFederation {
  readonly federation = new ClockedFederation();
  #intake!: Intake;

  async start(codec: string, rounds = 1): Promise<this> {
    await this.federation.start(names, {
      codec,
      rounds,
      cohort: { size: names.length },
      weighting: { kind: "uniform" },
      evaluation: { every: 0 },
    });
    const { service, storage, clock } = this.federation;
    const validate = createUpdateValidator(storage.blobs);
    this.#intake = new Intake({
      clients: service.clients,
      blobs: storage.blobs,
      validate,
      clock,
      options: intakeDefaults,
    });
    return this;
  }

  async read(id: BlobId): Promise<Uint8Array> {
    const { blobs } = this.federation.storage;
    return blobs.read(id, 0, await blobs.size(id));
  }

  async instructions(plan: RoundPlan): Promise<PlanInstructions> {
    return JSON.parse(Buffer.from(await this.read(plan.instructions)).toString("utf8")) as PlanInstructions;
  }

  async deliver(name: string, { planId }: RoundPlan, update: StateDict): Promise<number> {
    const { id } = this.federation.client(name);
    const file = writeSafetensors(update);
    const { uploadId, nextOffset } = await this.#intake.begin(id, planId, refOf(file));
    const data = file.subarray(nextOffset);
    if (data.byteLength > 0) {
      await this.#intake.putChunk(id, { uploadId, offset: nextOffset, data, sha256: hash("sha256", data, "buffer") });
    }
    const metrics = { numExamples: 1, numSteps: 1, trainLoss: 1, evaluation: undefined, trainMs: 1 };
    await this.#intake.commit(id, commitToWire(planId, uploadId, metrics) as CommitQuestion);
    return file.byteLength;
  }
}

const flatten = (layout: TensorLayout, tensor: (name: string) => Float32Array): number[] =>
  layout.flatMap(({ name }) => [...tensor(name)]);

/** Where client k wants value i to go; large and small ones mixed, and the clients' mean is no client's. */
const targetOf = (client: number, index: number): number =>
  Math.sin(7 * index + 3 * client) * (1 + (index % 5)) + index / 20;

interface ToyResult {
  readonly global: readonly number[];
  readonly bytesUp: number;
  readonly sentBytes: number;
}

/** Every client steps a tenth of the way to its target; what a codec loses is sent later, as the client SDK does. */
async function trainToy(codec: string, feedback = true, rounds = 40): Promise<ToyResult> {
  const coded = await new CodedFederation().start(codec, rounds);
  const { federation } = coded;
  const residuals = new Map<string, number[]>();
  let sentBytes = 0;
  for (let round = 1; round <= rounds; round += 1) {
    const plans = await federation.plans(...names);
    for (const [client, name] of names.entries()) {
      const plan = plans[client]!;
      const { roles, errorFeedback } = await coded.instructions(plan);
      expect(errorFeedback).toBe(codecOf(codec).isLossy ? true : undefined);
      const layout = roles.filter(({ uploaded }) => uploaded).map(({ spec }) => spec);
      const { tensors } = readSafetensors(await coded.read(plan.globalAdapter));
      const start = flatten(layout, (tensor) => toFloat32(tensors.get(tensor)!));
      const delta = start.map((value, i) => 0.1 * (targetOf(client, i) - value) + (residuals.get(name)?.[i] ?? 0));
      const encoded = codecOf(codec).encode(layout, (tensor) => {
        const position = layout.findIndex(({ name: other }) => other === tensor);
        const at = layout.slice(0, position).reduce((n, { shape }) => n + elementCount(shape), 0);
        return Float32Array.from(delta.slice(at, at + elementCount(layout[position]!.shape)));
      });
      const received = flatten(layout, openEncoded(codecOf(codec).decoder(layout), encoded));
      if (feedback)
        residuals.set(
          name,
          delta.map((value, i) => value - received[i]!),
        );
      sentBytes += await coded.deliver(name, plan, encoded);
    }
    await federation.clock.advance(10);
  }
  const { rounds: summaries } = await federation.detail();
  const { tensors } = readSafetensors(await coded.read(summaries.at(-1)!.adapterBlobId));
  return {
    global: [...tensors.values()].flatMap((tensor) => [...toFloat32(tensor)]),
    bytesUp: summaries.reduce((sum, { bytesUp }) => sum + bytesUp, 0),
    sentBytes,
  };
}

const distance = (a: readonly number[], b: readonly number[]): number =>
  Math.hypot(...a.map((value, i) => value - b[i]!)) / Math.hypot(...b);

let exact: ToyResult;
beforeAll(async () => {
  exact = await trainToy("f32");
});

test("the toy ends at the clients' mean in float32", () => {
  const mean = exact.global.map((_, i) => names.reduce((sum, _name, client) => sum + targetOf(client, i), 0) / 3);

  expect(distance(exact.global, mean)).toBeLessThan(0.02);
  expect(exact.bytesUp).toBe(exact.sentBytes);
});

test.each([
  ["f16", 1e-4],
  ["bf16", 1e-3],
  ["int8:16", 1e-3],
  ["topk:.25", 0.15],
])("a federation in codec %s ends near float32's result, its bytes counted as they travel", async (codec, most) => {
  const { global, bytesUp, sentBytes } = await trainToy(codec);

  expect(distance(global, exact.global)).toBeLessThan(most);
  expect(bytesUp).toBe(sentBytes);
  expect(bytesUp).not.toBe(exact.bytesUp);
});

test("it is error feedback that leads the sparse one there", async () => {
  const { global } = await trainToy("topk:.25", false);

  expect(distance(global, exact.global)).toBeGreaterThan(0.3);
});

describe("an update that the codec does not allow is refused, and a corrected one is taken:", () => {
  const floatsWith = (value: number) => (tensor: Tensor) => {
    const values = new Float32Array(tensor.bytes.slice().buffer);
    values[0] = value;
    return fromFloat32(values, tensor.shape);
  };
  const bytesOf = (value: number) => (tensor: Tensor) => ({ ...tensor, bytes: tensor.bytes.map(() => value) });
  const shorter = ({ dtype, shape, bytes }: Tensor): Tensor => ({
    dtype,
    shape: [shape[0]! - 1],
    bytes: bytes.slice(0, (bytes.byteLength / shape[0]!) * (shape[0]! - 1)),
  });
  const scale = "base_model.model.classifier.bias.scale";

  test.each<[string, string, string, (tensor: Tensor) => Tensor, ErrorCode]>([
    ["NaN", "int8", scale, floatsWith(NaN), "update-not-finite"],
    ["a scale below 0", "int8", scale, floatsWith(-1), "tensor-invalid"],
    ["too few scales", "int8:1", scale, shorter, "update-shape"],
    ["NaN", "topk:.1", "sparse.values", floatsWith(NaN), "update-not-finite"],
    ["indices beyond the end", "topk:.1", "sparse.gaps", bytesOf(0xff), "tensor-invalid"],
    ["a truncated gap list", "topk:.1", "sparse.gaps", shorter, "update-shape"],
    ["a bitmap of too many bits", "topk:.5", "sparse.bitmap", bytesOf(0xff), "tensor-invalid"],
    ["a bitmap of too few bits", "topk:.5", "sparse.bitmap", bytesOf(0), "tensor-invalid"],
  ])("%s, %s", async (_, codec, name, change, code) => {
    const coded = await new CodedFederation().start(codec);
    const { federation } = coded;
    const [plan] = await federation.plans(...names);
    const honest = readSafetensors(await federation.client("ann").update(plan!)).tensors;
    const broken = toStateDict([...honest].map(([key, tensor]) => [key, key === name ? change(tensor) : tensor]));

    await expect(coded.deliver("ann", plan!, broken)).rejects.toMatchObject({ code });

    await coded.deliver("ann", plan!, honest);
    const { rounds, summary } = await federation.detail();
    expect([rounds, summary.state]).toEqual([[], "running"]);
    const refusals: unknown[] = [];
    for await (const { fact } of federation.service.admin.audit(federation.runId, 0)) {
      if (fact["type"] === "update-refused") refusals.push(fact["code"]);
    }
    expect(refusals).toEqual([code]);
    await expect(coded.deliver("ann", plan!, broken)).rejects.toMatchObject({ code: "update-conflict" });
  });
});

test("an evaluation downloads the dense adapter, training what the method's codec leaves of it", async () => {
  const federation = await new ClockedFederation().start(["ann", "bob"], {
    method: { name: "flasc", options: { download: 0.25 } },
    weighting: { kind: "uniform" },
  });
  const { blobs } = federation.storage;
  const read = async (id: BlobId): Promise<Uint8Array> => blobs.read(id, 0, await blobs.size(id));
  const training = await federation.plans("ann", "bob");
  await federation.client("ann").work(training[0]!);
  await federation.client("bob").work(training[1]!);
  await federation.clock.advance(10);

  const evaluations = await federation.plans("ann", "bob");
  const { rounds } = await federation.detail();

  expect(evaluations.map(({ kind }) => kind)).toEqual(["evaluate", "evaluate"]);
  const [evaluation] = evaluations;
  const global = readSafetensors(await read(rounds[0]!.adapterBlobId)).tensors;
  expect(readSafetensors(await read(evaluation!.globalAdapter)).tensors).toEqual(global);
  const codecs = [training[0]!, evaluation!].map(async ({ instructions }) => {
    return (JSON.parse(Buffer.from(await read(instructions)).toString("utf8")) as PlanInstructions).downloadCodec;
  });
  expect(await Promise.all(codecs)).toEqual(["topk:0.25", undefined]);
  expect(evaluation!.downloadBytes).toBeGreaterThan(training[0]!.downloadBytes);
  await federation.service.close();
});
