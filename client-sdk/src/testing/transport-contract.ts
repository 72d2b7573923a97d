import {
  blobIdOf,
  chunkBytes,
  chunksOf,
  FedLoraError,
  sha256,
  type BaseModelHash,
  type BlobId,
  type PlanId,
  type RoundPlan,
  type UpdateMetrics,
} from "@fedlora/core";
import { noCapability } from "@fedlora/proto";
import { afterEach, describe, expect, test } from "vitest";
import { createEphemeralIdentity, type Identity } from "../identity.js";
import type { BlobChunk, ClientCapabilityReport, PollAnswer, Transport } from "../transport/transport.js";

/** A coordinator with one open run, made for one test. */
export interface TransportFixture {
  readonly baseModelHash: BaseModelHash;
  /** A client's own way to the coordinator. */
  connect(): Transport;
  /** The bytes of a valid update for any train plan of the run: more than one chunk, not a whole number of them. */
  readonly update: Uint8Array;
  /** The bytes of an update that lacks a tensor. */
  readonly incomplete: Uint8Array;
  close(): Promise<void>;
}

const signal = new AbortController().signal;
const metrics: UpdateMetrics = { numExamples: 3, numSteps: 2, trainLoss: 0.5, evaluation: undefined, trainMs: 1 };
const capability: ClientCapabilityReport = { ...noCapability, engine: "none", codecs: ["f32"] };

const refOf = (bytes: Uint8Array): { id: BlobId; size: number } => ({ id: blobIdOf(bytes), size: bytes.byteLength });

const chunksFrom = (bytes: Uint8Array, from = 0, to = Infinity): BlobChunk[] =>
  [...chunksOf(bytes)]
    .map(({ offset, bytes: data }) => ({ offset, data, sha256: sha256(data), total: bytes.byteLength }))
    .filter(({ offset }) => offset >= from && offset < to);

async function* stream(chunks: readonly BlobChunk[]): AsyncGenerator<BlobChunk> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

/** What every transport promises; run it against each implementation. */
export function describeTransport(name: string, open: () => Promise<TransportFixture>): void {
  describe(`transport contract: ${name}`, () => {
    const opened: { close(): Promise<void> }[] = [];
    afterEach(async () => {
      for (const item of opened.splice(0).reverse()) await item.close();
    });

    const setUp = async (): Promise<{ fixture: TransportFixture; connect: () => Transport }> => {
      const fixture = await open();
      opened.push(fixture);
      return {
        fixture,
        connect: () => {
          const transport = fixture.connect();
          opened.push(transport);
          return transport;
        },
      };
    };
    const enrol = (transport: Transport, fixture: TransportFixture, identity: Identity = createEphemeralIdentity()) =>
      transport.enrol(
        {
          name: "contract",
          publicKey: identity.publicKey,
          sign: (message) => identity.sign(message),
          baseModelHashes: [fixture.baseModelHash],
          capability,
        },
        signal,
      );
    const poll = (transport: Transport, fixture: TransportFixture, waitMs = 1000): Promise<PollAnswer> =>
      transport.poll({ waitMs, runId: undefined, baseModelHashes: [fixture.baseModelHash], capability }, signal);
    const withPlan = async () => {
      const { fixture, connect } = await setUp();
      const transport = connect();
      await enrol(transport, fixture);
      const answer = await poll(transport, fixture);
      if (answer.kind !== "plan") throw new Error(`expected a plan, got ${answer.kind}`);
      return { fixture, connect, transport, plan: answer.plan, refs: answer.refs };
    };
    const upload = async (transport: Transport, plan: RoundPlan, bytes: Uint8Array): Promise<string> => {
      const { uploadId, nextOffset } = await transport.beginUpload(plan.planId, refOf(bytes), signal);
      await transport.putChunks(uploadId, stream(chunksFrom(bytes, nextOffset)), signal);
      return uploadId;
    };

    test("asks for an enrolment first", async () => {
      const { fixture, connect } = await setUp();
      await expect(poll(connect(), fixture)).rejects.toMatchObject({ code: "unauthenticated" });
    });

    test("gives one id per key, and the coordinator's own key", async () => {
      const { fixture, connect } = await setUp();
      const identity = createEphemeralIdentity();

      const first = await enrol(connect(), fixture, identity);
      const again = await enrol(connect(), fixture, identity);
      const other = await enrol(connect(), fixture);

      expect(again.clientId).toBe(first.clientId);
      expect(other.clientId).not.toBe(first.clientId);
      expect(first.coordinatorKey).toHaveLength(32);
      expect(again.coordinatorKey).toEqual(first.coordinatorKey);
    });

    test("gives a plan with the size of each of its blobs, and the same plan again while it is open", async () => {
      const { fixture, transport, plan, refs } = await withPlan();

      const again = await poll(transport, fixture);

      expect(plan.baseModelHash).toBe(fixture.baseModelHash);
      expect(again).toMatchObject({ kind: "plan", plan: { planId: plan.planId } });
      for (const id of [plan.instructions, plan.globalAdapter, ...plan.frozen]) expect(refs[id]).toBeGreaterThan(0);
    });

    test("sends a blob in hashed chunks, whole or from an offset", async () => {
      const { transport, plan, refs } = await withPlan();
      const chunks: BlobChunk[] = [];
      for await (const chunk of transport.getBlob(plan.globalAdapter, 0, signal)) {
        chunks.push({ ...chunk, data: chunk.data.slice(), sha256: chunk.sha256.slice() });
      }
      const rest: number[] = [];
      for await (const { offset } of transport.getBlob(plan.globalAdapter, chunkBytes, signal)) rest.push(offset);

      const bytes = Buffer.concat(chunks.map(({ data }) => data));
      expect(blobIdOf(bytes)).toBe(plan.globalAdapter);
      expect(bytes.byteLength).toBe(refs[plan.globalAdapter]);
      expect(chunks.map(({ offset }) => offset)).toEqual(chunks.map((_, i) => i * chunkBytes));
      expect(chunks.every(({ data, sha256: hash }) => Buffer.compare(sha256(data), hash) === 0)).toBe(true);
      expect(rest).toEqual(chunks.slice(1).map(({ offset }) => offset));
    });

    test("names a blob that it does not have, and lets go of a download that nobody reads on", async () => {
      const { transport, plan } = await withPlan();
      const missing = transport.getBlob("0".repeat(64) as BlobId, 0, signal)[Symbol.asyncIterator]();

      await expect(missing.next()).rejects.toMatchObject({ code: "blob-not-found" });
      for await (const chunk of transport.getBlob(plan.globalAdapter, 0, signal)) {
        expect(chunk.offset).toBe(0);
        break;
      }
    });

    test("takes an upload in pieces, by stream and by single chunk, and gives the same receipt twice", async () => {
      const { fixture, transport, plan } = await withPlan();
      const { update } = fixture;
      const begun = await transport.beginUpload(plan.planId, refOf(update), signal);
      const reached = await transport.putChunks(begun.uploadId, stream(chunksFrom(update, 0, chunkBytes)), signal);
      const resumed = await transport.beginUpload(plan.planId, refOf(update), signal);
      let offset = resumed.nextOffset;
      for (const chunk of chunksFrom(update, resumed.nextOffset)) {
        offset = await transport.putChunk(resumed.uploadId, chunk, signal);
      }
      const whole = await transport.beginUpload(plan.planId, refOf(update), signal);

      const receipt = await transport.commit(plan.planId, whole.uploadId, metrics, signal);
      const again = await transport.commit(plan.planId, whole.uploadId, metrics, signal);

      expect(begun).toMatchObject({ nextOffset: 0, complete: false });
      expect([reached, resumed.nextOffset, offset]).toEqual([chunkBytes, chunkBytes, update.byteLength]);
      expect(whole.complete).toBe(true);
      expect(receipt).toMatchObject({ planId: plan.planId, runId: plan.runId, blobId: refOf(update).id });
      expect(again).toEqual(receipt);
      expect((await transport.beginUpload(plan.planId, refOf(update), signal)).complete).toBe(true);
    });

    test("refuses a chunk with a wrong hash or offset, and goes on from where it was", async () => {
      const { fixture, transport, plan } = await withPlan();
      const { uploadId } = await transport.beginUpload(plan.planId, refOf(fixture.update), signal);
      const [first, second] = chunksFrom(fixture.update) as [BlobChunk, BlobChunk];
      const wrong = { ...first, data: first.data.map((byte) => byte ^ 1) };

      await expect(transport.putChunk(uploadId, wrong, signal)).rejects.toMatchObject({ code: "chunk-hash-mismatch" });
      await expect(transport.putChunks(uploadId, stream([second]), signal)).rejects.toMatchObject({
        code: "chunk-offset-invalid",
      });
      const rest = await transport.putChunks(uploadId, stream(chunksFrom(fixture.update)), signal);

      expect(rest).toBe(fixture.update.byteLength);
    });

    test("throws an error of the upload's source as it is", async () => {
      const { fixture, transport, plan } = await withPlan();
      const { uploadId } = await transport.beginUpload(plan.planId, refOf(fixture.update), signal);
      const broken = new FedLoraError("file-invalid", "the disk broke");
      const source = async function* (): AsyncGenerator<BlobChunk> {
        yield* stream(chunksFrom(fixture.update, 0, chunkBytes));
        throw broken;
      };

      await expect(transport.putChunks(uploadId, source(), signal)).rejects.toBe(broken);
    });

    test("refuses an update that lacks a tensor, and names it", async () => {
      const { fixture, transport, plan } = await withPlan();
      const uploadId = await upload(transport, plan, fixture.incomplete);

      await expect(transport.commit(plan.planId, uploadId, metrics, signal)).rejects.toMatchObject({
        code: "update-tensor-missing",
      });
    });

    test("keeps plans apart: unknown ones and those of other clients", async () => {
      const { fixture, connect, plan } = await withPlan();
      const other = connect();
      await enrol(other, fixture);
      const unknown = "no-such-plan" as PlanId;

      await expect(other.beginUpload(unknown, refOf(fixture.update), signal)).rejects.toMatchObject({
        code: "plan-unknown",
      });
      await expect(other.beginUpload(plan.planId, refOf(fixture.update), signal)).rejects.toMatchObject({
        code: "plan-not-yours",
      });
    });

    test("says whether a plan is still open, and not after it was declined", async () => {
      const { fixture, transport, plan } = await withPlan();
      const progress = { planId: plan.planId, stage: "training", step: 1, totalSteps: 2, loss: Number.NaN, capability };

      const before = await transport.report(progress, signal);
      await transport.decline(plan.planId, "policy-declined", "not today", signal);
      const after = await transport.report(progress, signal);
      const next = await poll(transport, fixture, 1);

      expect(before.planOpen).toBe(true);
      expect(after.planOpen).toBe(false);
      expect(next.kind === "plan" && next.plan.planId === plan.planId).toBe(false);
    });

    test("rejects with the signal's reason, before a call and within one", async () => {
      const { fixture, transport, plan } = await withPlan();
      const reason = new Error("the owner changed her mind");
      const aborted = AbortSignal.abort(reason);
      const within = new AbortController();
      const { uploadId } = await transport.beginUpload(plan.planId, refOf(fixture.update), signal);
      const source = async function* (): AsyncGenerator<BlobChunk> {
        yield* stream(chunksFrom(fixture.update, 0, chunkBytes));
        within.abort(reason);
        yield* stream(chunksFrom(fixture.update, chunkBytes));
      };

      await expect(transport.beginUpload(plan.planId, refOf(fixture.update), aborted)).rejects.toBe(reason);
      const blob = transport.getBlob(plan.globalAdapter, 0, aborted)[Symbol.asyncIterator]();
      await expect(blob.next()).rejects.toBe(reason);
      await expect(transport.putChunks(uploadId, source(), within.signal)).rejects.toBe(reason);
    });
  });
}
