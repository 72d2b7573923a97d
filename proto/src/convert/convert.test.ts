import { FedLoraError, type BlobId, type PlanId, type RoundPlan, type RunId } from "@fedlora/core";
import fc from "fast-check";
import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { expect, test } from "vitest";
import { coordinatorService } from "../definitions.js";
import type { Signer } from "../ed25519.js";
import type { PollResponse } from "../gen/fedlora/v1/PollResponse.js";
import type { RoundPlan as WirePlan } from "../gen/fedlora/v1/RoundPlan.js";
import { limits } from "../limits.js";
import { enrolProofBytes, receiptBytes } from "../signed-bytes.js";
import { blobRangeFromWire } from "./blob.js";
import { enrolAnswerFromWire, enrolAnswerToWire, enrolmentFromWire, enrolmentToWire } from "./enrol.js";
import type { CapabilityReport } from "./capability.js";
import { planToWire } from "./plan.js";
import { pollAnswerFromWire, pollAnswerToWire, pollFromWire, pollToWire } from "./poll.js";
import { reportFromWire, reportToWire } from "./report.js";
import { commitFromWire, commitToWire, metricsFromWire, receiptFromWire, receiptToWire } from "./update.js";
import { uploadChunkFromWire, uploadChunkToWire, uploadStartFromWire, uploadStartToWire } from "./upload.js";

function newSigner(): Signer {
  const { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject } = generateKeyPairSync("ed25519");
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x!, "base64url");
  return { publicKey: raw, sign: (message) => sign(null, message, privateKey) };
}

const { Enrol, Poll, Report, Commit, PutChunk, BeginUpload } = coordinatorService;
const codeOf = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    return error instanceof FedLoraError ? error.code : String(error);
  }
};

const hash = fc.stringMatching(/^[0-9a-f]{64}$/);
const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/);
const count = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const capability = fc.record({
  memoryBytes: fc.option(fc.integer({ min: 1, max: 2 ** 50 }), { nil: undefined }),
  stepMs: fc.option(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), { nil: undefined }),
  uploadBytesPerSecond: fc.option(fc.double({ min: 1, max: 1e12, noNaN: true }), { nil: undefined }),
  engine: fc.string({ maxLength: 40 }),
  engineFingerprint: fc.string({ maxLength: 40 }),
  directives: fc.array(fc.string({ minLength: 1, maxLength: 20 }), { maxLength: 5 }),
  codecs: fc.array(fc.constantFrom("f32", "f16", "bf16"), { maxLength: 3 }),
  maxRank: fc.option(fc.integer({ min: 1, max: 256 }), { nil: undefined }),
  measurements: fc.dictionary(
    fc.stringMatching(/^[a-z]{1,10}$/),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
    { maxKeys: 5 },
  ),
  stepTimes: fc.option(
    fc.record({
      forwardMs: fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
      layerMs: fc.double({ min: 0, max: 1e6, noNaN: true }).map((value) => value + 0),
      batchTokens: fc.integer({ min: 1, max: 1e9 }),
      forwardBytes: fc.option(fc.integer({ min: 1, max: 2 ** 50 }), { nil: undefined }),
      layerBytes: fc.option(fc.integer({ min: 1, max: 2 ** 50 }), { nil: undefined }),
      runId: fc.option(id, { nil: undefined }),
    }),
    { nil: undefined },
  ),
  deviceClass: fc.option(fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,31}$/), { nil: undefined }),
}) as unknown as fc.Arbitrary<CapabilityReport>;
const plan = fc.record({
  planId: id,
  runId: id,
  round: fc.integer({ min: 0, max: 2 ** 31 }),
  kind: fc.constantFrom("train" as const, "evaluate" as const),
  method: fc.record({ name: fc.stringMatching(/^[a-z-]{1,20}$/), version: fc.integer({ min: 0, max: 9 }) }),
  baseModelHash: hash,
  baseVersion: fc.integer({ min: 0, max: 1000 }),
  instructions: hash,
  globalAdapter: hash,
  frozen: fc.array(hash, { maxLength: 4 }),
  deadlineMs: fc.integer({ min: 0, max: limits.durationMs }),
  downloadBytes: count,
  uploadBytes: fc.integer({ min: 0, max: limits.blobBytes }),
}) as unknown as fc.Arbitrary<RoundPlan>;

const sizesOf = (value: RoundPlan): Record<BlobId, number> =>
  Object.fromEntries([value.instructions, value.globalAdapter, ...value.frozen].map((blob, index) => [blob, index]));
const overWire = (answer: PollResponse): Parameters<typeof pollAnswerFromWire>[0] =>
  Poll.responseDeserialize(Poll.responseSerialize(answer));

test("a plan arrives as it was sent, with the sizes of its blobs", () => {
  const signer = newSigner();
  fc.assert(
    fc.property(plan, (value) => {
      const sizes = sizesOf(value);

      const wire = overWire(pollAnswerToWire({ kind: "plan", plan: planToWire(value, sizes, signer) }));

      expect(pollAnswerFromWire(wire, signer.publicKey)).toEqual({ kind: "plan", plan: value, refs: sizes });
    }),
    { numRuns: 30 },
  );
});

test("a plan that was changed on its way, or signed by another key, is refused", () => {
  const signer = newSigner();
  const value = fc.sample(plan, { numRuns: 1, seed: 1 })[0]!;
  const wire = planToWire(value, sizesOf(value), signer);
  const read = (changed: WirePlan, key: Uint8Array) => () =>
    pollAnswerFromWire(overWire({ plan: { ...wire, ...changed } }), key);

  expect(codeOf(read({}, signer.publicKey))).toBeUndefined();
  expect(codeOf(read({}, newSigner().publicKey))).toBe("unauthenticated");
  expect(codeOf(read({ round: value.round + 1 }, signer.publicKey))).toBe("unauthenticated");
  expect(codeOf(read({ method: "other" }, signer.publicKey))).toBe("unauthenticated");
  expect(codeOf(read({ instructions: { blobId: value.instructions, size: 999 } }, signer.publicKey))).toBe(
    "unauthenticated",
  );
  expect(codeOf(read({ kind: "PLAN_KIND_UNSPECIFIED" }, signer.publicKey))).toBe("request-invalid");
  expect(codeOf(read({ globalAdapter: null }, signer.publicKey))).toBe("request-invalid");
});

test("a plan beyond 16 KiB or with a blob of unknown size is never sent", () => {
  const value = fc.sample(plan, { numRuns: 1, seed: 1 })[0]!;
  const frozen = Array.from({ length: 300 }, (_, index) => index.toString(16).padStart(64, "0") as BlobId);
  const long: RoundPlan = { ...value, frozen };

  expect(codeOf(() => planToWire(long, sizesOf(long), newSigner()))).toBe("internal");
  expect(codeOf(() => planToWire(value, {}, newSigner()))).toBe("internal");
});

test("an enrolment proves its key; a forged proof or another version is refused", () => {
  const signer = newSigner();
  const nonce = Buffer.alloc(16, 7);
  const proof = signer.sign(enrolProofBytes(signer.publicKey, nonce));
  fc.assert(
    fc.property(capability, fc.string({ maxLength: 40 }), fc.array(hash, { maxLength: 3 }), (report, name, models) => {
      const sent = { name, publicKey: signer.publicKey, baseModelHashes: models, capability: report };
      const received = enrolmentFromWire(
        Enrol.requestDeserialize(Enrol.requestSerialize(enrolmentToWire(sent, nonce, proof))),
      );
      expect(Buffer.from(received.publicKey).equals(signer.publicKey)).toBe(true);
      expect(received.name).toBe(name);
      expect(received.baseModelHashes).toEqual(models);
      expect({ ...received.capability, measurements: { ...received.capability.measurements } }).toEqual(report);
    }),
    { numRuns: 30 },
  );
  const base = enrolmentToWire(
    { name: "a", publicKey: signer.publicKey, baseModelHashes: [], capability: fc.sample(capability, 1)[0]! },
    nonce,
    proof,
  );
  const read = (changed: object) => () =>
    enrolmentFromWire(Enrol.requestDeserialize(Enrol.requestSerialize({ ...base, ...changed })));
  expect(codeOf(read({ nonce: Buffer.alloc(16, 8) }))).toBe("unauthenticated");
  expect(codeOf(read({ publicKey: newSigner().publicKey }))).toBe("unauthenticated");
  expect(codeOf(read({ protocolVersions: [2, 3] }))).toBe("protocol-version");
  expect(codeOf(read({ publicKey: Buffer.alloc(31) }))).toBe("request-invalid");
  expect(codeOf(read({ nonce: Buffer.alloc(3) }))).toBe("request-invalid");
  expect(codeOf(read({ name: "n".repeat(129) }))).toBe("request-invalid");
  expect(codeOf(read({ baseModelHashes: ["../etc"] }))).toBe("request-invalid");
  expect(codeOf(read({ capability: { stepMs: Number.NaN } }))).toBe("request-invalid");
  expect(codeOf(read({ capability: { measurements: { a: Number.POSITIVE_INFINITY } } }))).toBe("request-invalid");
  expect(codeOf(read({ capability: { memoryBytes: 2 ** 60 } }))).toBe("request-invalid");
  expect(codeOf(read({ capability: { uploadBytesPerSecond: 1e-9 } }))).toBe("request-invalid");
  expect(codeOf(read({ capability: { deviceClass: "A phone" } }))).toBe("request-invalid");
  const times = { forwardMs: 10, layerMs: 1, batchTokens: 256, forwardBytes: 0, layerBytes: 0, runId: "" };
  const hostile = [
    { forwardMs: 0 },
    { forwardMs: Number.NaN },
    { forwardMs: 1e12 },
    { layerMs: -1 },
    { layerMs: Number.POSITIVE_INFINITY },
    { batchTokens: 0 },
    { layerBytes: 2 ** 60 },
    { runId: "../x" },
  ];
  expect(codeOf(read({ capability: { stepTimes: times } }))).toBeUndefined();
  for (const change of hostile) {
    expect(codeOf(read({ capability: { stepTimes: { ...times, ...change } } }))).toBe("request-invalid");
  }
});

test("keys of a peer's map never touch a prototype", () => {
  const measurements = JSON.parse('{"__proto__": 1, "constructor": 2}') as Record<string, number>;
  const wire = Poll.requestDeserialize(Poll.requestSerialize({ capability: { measurements } }));

  const received = pollFromWire(wire).capability!.measurements;

  expect(Object.getPrototypeOf(received)).toBeNull();
  expect(Object.getPrototypeOf({})).toBe(Object.prototype);
});

test("the answer to an enrolment arrives; another chunk size is another protocol", () => {
  const answer = {
    protocolVersion: 1,
    clientId: "c-1" as never,
    session: Uint8Array.of(1, 2, 3),
    coordinatorKey: new Uint8Array(32),
    pollWaitMs: 30_000,
    directives: ["proximal@1"],
  };
  const wire = enrolAnswerToWire(answer);
  const read = (changed: object) => enrolAnswerFromWire(Enrol.responseDeserialize(Enrol.responseSerialize(changed)));

  expect(read(wire)).toEqual(answer);
  expect(codeOf(() => read({ ...wire, chunkBytes: 4096 }))).toBe("protocol-version");
  expect(codeOf(() => read({ ...wire, pollWaitMs: 10 ** 9 }))).toBe("request-invalid");
});

test("a poll, a wait and a run's end arrive as they were sent", () => {
  const question = { waitMs: 1000, runId: "r" as RunId, baseModelHashes: [], capability: undefined };
  const wait = { kind: "wait", retryAfterMs: 1500, reason: "no-run" } as const;
  const ended = {
    kind: "ended",
    runId: "r" as RunId,
    state: "completed",
    globalAdapter: { id: "a".repeat(64) as BlobId, size: 5 },
    instructions: undefined,
  } as const;

  expect(pollFromWire(Poll.requestDeserialize(Poll.requestSerialize(pollToWire(question))))).toEqual(question);
  expect(pollAnswerFromWire(overWire(pollAnswerToWire(wait)), new Uint8Array(32))).toEqual(wait);
  expect(pollAnswerFromWire(overWire(pollAnswerToWire(ended)), new Uint8Array(32))).toEqual(ended);
  expect(codeOf(() => pollAnswerFromWire(overWire({}), new Uint8Array(32)))).toBe("request-invalid");
  expect(codeOf(() => pollAnswerFromWire(overWire({ ended: { runId: "r", state: "odd" } }), new Uint8Array(32)))).toBe(
    "request-invalid",
  );
});

test("a wait that is longer than allowed is shortened", () => {
  expect(pollFromWire(Poll.requestDeserialize(Poll.requestSerialize({ waitMs: 10 ** 9 }))).waitMs).toBe(120_000);
});

test("metrics arrive exactly; bad numbers refuse the update and name the field", () => {
  const metrics = {
    numExamples: 40,
    numSteps: 5,
    trainLoss: 0,
    evaluation: { count: 3, lossSum: 1.5, confusion: [1, 0, 0, 2] },
    trainMs: 12.5,
  };
  const sent = commitToWire("p" as PlanId, "u", metrics);
  const read = (changed: object) =>
    metricsFromWire(
      commitFromWire(
        Commit.requestDeserialize(Commit.requestSerialize({ ...sent, metrics: { ...sent.metrics, ...changed } })),
      ).metrics,
    );

  expect(read({})).toEqual(metrics);
  expect(read({ receivedLoss: 0.1 })).toEqual({ ...metrics, receivedLoss: 0.1 });
  expect(codeOf(() => read({ receivedLoss: -1 }))).toBe("update-metrics");
  expect(
    metricsFromWire(
      commitFromWire(
        Commit.requestDeserialize(
          Commit.requestSerialize(commitToWire("p" as PlanId, undefined, { ...metrics, trainLoss: undefined })),
        ),
      ).metrics,
    ).trainLoss,
  ).toBeUndefined();
  expect(codeOf(() => read({ trainLoss: Number.NaN }))).toBe("update-metrics");
  expect(codeOf(() => read({ trainMs: -1 }))).toBe("update-metrics");
  expect(codeOf(() => read({ numExamples: 2 ** 60 }))).toBe("update-metrics");
  expect(codeOf(() => read({ evaluation: { count: 1, lossSum: Number.POSITIVE_INFINITY } }))).toBe("update-metrics");
});

test("a receipt arrives and verifies; a changed one does not", () => {
  const signer = newSigner();
  const facts = {
    planId: "p" as PlanId,
    runId: "r" as RunId,
    round: 3,
    clientId: "c" as never,
    blobId: "b".repeat(64) as BlobId,
    sequence: 77,
  };
  const receipt = { ...facts, signature: Uint8Array.from(signer.sign(receiptBytes(facts))) };
  const wire = receiptToWire(receipt, signer.publicKey);
  const read = (changed: object) =>
    receiptFromWire(
      Commit.responseDeserialize(Commit.responseSerialize({ receipt: { ...wire, ...changed } })).receipt!,
      signer.publicKey,
    );

  expect(read({})).toEqual(receipt);
  expect(codeOf(() => read({ sequence: 78 }))).toBe("unauthenticated");
  expect(codeOf(() => read({ blobId: "" }))).toBe("unauthenticated");
  expect(codeOf(() => read({ blobId: "xyz" }))).toBe("request-invalid");
});

test("chunks and uploads are held to sizes and alignment", () => {
  const chunk = { uploadId: "u", offset: 0, data: Buffer.alloc(10, 1), sha256: Buffer.alloc(32, 2) };
  const read = (changed: object) =>
    uploadChunkFromWire(
      PutChunk.requestDeserialize(PutChunk.requestSerialize({ ...uploadChunkToWire(chunk), ...changed })),
    );
  const start = { planId: "p" as PlanId, blob: { id: "a".repeat(64) as BlobId, size: 10 } };

  expect(read({})).toEqual(chunk);
  expect(codeOf(() => read({ data: Buffer.alloc(limits.chunkBytes + 1) }))).toBe("request-invalid");
  expect(codeOf(() => read({ data: Buffer.alloc(0) }))).toBe("request-invalid");
  expect(codeOf(() => read({ sha256: Buffer.alloc(31) }))).toBe("request-invalid");
  expect(codeOf(() => read({ uploadId: "" }))).toBe("request-invalid");
  expect(
    uploadStartFromWire(BeginUpload.requestDeserialize(BeginUpload.requestSerialize(uploadStartToWire(start)))),
  ).toEqual(start);
  expect(codeOf(() => blobRangeFromWire({ blobId: "a".repeat(64), offset: 5, length: 0 }))).toBe("request-invalid");
  expect(blobRangeFromWire({ blobId: "a".repeat(64), offset: limits.chunkBytes, length: 0 }).length).toBeUndefined();
});

test("a loss that is not finite is left out of a report", () => {
  const report = {
    planId: "p" as PlanId,
    stage: "training",
    step: 1,
    totalSteps: 2,
    loss: Number.NaN,
    capability: undefined,
  };

  const wire = Report.requestDeserialize(Report.requestSerialize(reportToWire(report)));

  expect(wire.loss).toBeUndefined();
  expect(reportFromWire(wire)).toEqual(report);
  expect(reportFromWire({ ...wire, loss: 0.5 }).loss).toBe(0.5);
});
