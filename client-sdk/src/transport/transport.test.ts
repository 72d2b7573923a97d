import { FedLoraError, writeSafetensors, type StateDict } from "@fedlora/core";
import { noCapability } from "@fedlora/proto";
import { expect, test } from "vitest";
import { createEphemeralIdentity } from "../identity.js";
import { FakeConnection } from "../testing/fake-connection.js";
import { FakeCoordinator } from "../testing/fake-coordinator.js";
import { fakeBaseModelHash, fakeInstructions, fakeRole, filledState } from "../testing/fake-plan.js";
import { serveFakeCoordinator } from "../testing/serve-fake-coordinator.js";
import { describeTransport, type TransportFixture } from "../testing/transport-contract.js";
import { createGrpcTransport } from "./grpc-transport.js";
import type { Transport } from "./transport.js";

const shape = [2, 50_000];
const state = (names: readonly string[]): StateDict =>
  filledState(Object.fromEntries(names.map((name) => [name, [0.25, shape]])));
const createFake = (): FakeCoordinator =>
  new FakeCoordinator({
    baseModelHash: fakeBaseModelHash,
    instructions: fakeInstructions([fakeRole("a", shape), fakeRole("b", shape)]),
    initial: state(["a", "b"]),
    cohort: 2,
  });
const fixtureOf = (connect: () => Transport, close: () => void = () => undefined): TransportFixture => ({
  baseModelHash: fakeBaseModelHash,
  connect,
  update: writeSafetensors(state(["a", "b"])),
  incomplete: writeSafetensors(state(["a"])),
  close: () => {
    close();
    return Promise.resolve();
  },
});

describeTransport("in memory", () => {
  const fake = createFake();
  return Promise.resolve(fixtureOf(() => new FakeConnection(fake)));
});

describeTransport("gRPC", async () => {
  const served = await serveFakeCoordinator(createFake());
  return fixtureOf(
    () => createGrpcTransport(served.address),
    () => served.stop(),
  );
});

const signal = new AbortController().signal;
const identity = createEphemeralIdentity();
const info = {
  name: "test",
  publicKey: identity.publicKey,
  sign: (message: Uint8Array) => identity.sign(message),
  baseModelHashes: [fakeBaseModelHash],
  capability: noCapability,
};

test("a coordinator that is not there is unavailable, and found again when it comes", async () => {
  const fake = createFake();
  const served = await serveFakeCoordinator(fake);
  const transport = createGrpcTransport(served.address);
  await transport.enrol(info, signal);
  served.stop();

  const gone = await transport.enrol(info, signal).catch((error: unknown) => error);
  const again = await serveFakeCoordinator(fake, Number(served.address.split(":")[1]));
  let back: unknown;
  for (let attempt = 0; attempt < 50 && back === undefined; attempt++) {
    back = await transport.enrol(info, signal).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await transport.close();
  again.stop();

  expect(gone).toMatchObject({ code: "unavailable", retryable: true });
  expect(back).toMatchObject({ pollWaitMs: 1000 });
});

test("a call that is never answered ends at its deadline", async () => {
  const fake = createFake();
  fake.onCall = () => new Promise(() => undefined);
  const served = await serveFakeCoordinator(fake);
  const transport = createGrpcTransport(served.address, { callTimeoutMs: 200 });

  const failure = await transport.enrol(info, signal).catch((error: unknown) => error);
  await transport.close();
  served.stop();

  expect(failure).toMatchObject({ code: "deadline-exceeded", retryable: true });
});

test("a stream on which nothing moves is given up, down and up", async () => {
  const fake = createFake();
  const served = await serveFakeCoordinator(fake);
  const transport = createGrpcTransport(served.address, { callTimeoutMs: 300 });
  await transport.enrol(info, signal);
  const answer = await transport.poll({ waitMs: 0, runId: undefined, ...info }, signal);
  if (answer.kind !== "plan") throw new Error("no plan");
  fake.onCall = ({ method }) => (method.startsWith("chunk") ? new Promise(() => undefined) : undefined);

  const blob = transport.getBlob(answer.plan.globalAdapter, 0, signal);
  const down = await blob[Symbol.asyncIterator]()
    .next()
    .catch((error: unknown) => error);
  const update = writeSafetensors(state(["a", "b"]));
  const { blobIdOf, chunksOf, sha256 } = await import("@fedlora/core");
  const ref = { id: blobIdOf(update), size: update.byteLength };
  const { uploadId } = await transport.beginUpload(answer.plan.planId, ref, signal);
  const chunks = async function* () {
    for (const { offset, bytes } of chunksOf(update)) {
      yield await Promise.resolve({ offset, data: bytes, sha256: sha256(bytes), total: ref.size });
    }
  };
  const up = await transport.putChunks(uploadId, chunks(), signal).catch((error: unknown) => error);
  await transport.close();
  served.stop();

  expect(down).toMatchObject({ code: "deadline-exceeded" });
  expect(up).toMatchObject({ code: "deadline-exceeded" });
});

test("plans and receipts that another key signed are not taken for the coordinator's", async () => {
  const fake = createFake();
  const served = await serveFakeCoordinator(fake);
  const transport = createGrpcTransport(served.address);
  await transport.enrol(info, signal);
  Object.assign(fake, { key: createEphemeralIdentity() });

  const failure = await transport
    .poll({ waitMs: 0, runId: undefined, ...info }, signal)
    .catch((error: unknown) => error);
  await transport.close();
  served.stop();

  expect(failure).toBeInstanceOf(FedLoraError);
  expect(failure).toMatchObject({ code: "coordinator-untrusted" });
});

test("an upload does not run ahead of a coordinator that takes its time", async () => {
  const fake = createFake();
  const served = await serveFakeCoordinator(fake);
  const transport = createGrpcTransport(served.address);
  await transport.enrol(info, signal);
  const answer = await transport.poll({ waitMs: 0, runId: undefined, ...info }, signal);
  if (answer.kind !== "plan") throw new Error("no plan");
  const size = 64 * 1024 * 1024;
  const { uploadId } = await transport.beginUpload(answer.plan.planId, { id: "0".repeat(64) as never, size }, signal);
  const stop = new AbortController();
  fake.onCall = ({ method }) => (method === "chunkUp" ? new Promise(() => undefined) : undefined);
  let taken = 0;
  const chunks = async function* () {
    for (let offset = 0; offset < size; offset += 262_144) {
      taken += 262_144;
      yield await Promise.resolve({ offset, data: new Uint8Array(262_144), sha256: new Uint8Array(32), total: size });
    }
  };

  const sending = transport.putChunks(uploadId, chunks(), stop.signal).catch((error: unknown) => error);
  for (let before = -1; before !== taken; await new Promise((resolve) => setTimeout(resolve, 200))) before = taken;
  stop.abort();
  await sending;
  await transport.close();
  served.stop();

  // What is on its way: our buffer, and the receiver's window and buffer.
  expect(taken).toBeLessThan(24 * 1024 * 1024);
});
