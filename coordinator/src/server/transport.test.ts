import type { BlobId, PlanId } from "@fedlora/core";
import { limits, pollAnswerFromWire } from "@fedlora/proto";
import { generateKeyPairSync } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { MemoryMedium, openMemoryStorage } from "../storage/memory-storage.js";
import { fakePlan } from "./testing/fake-service.js";
import { chunkOf, codeOf, refOf, sampleUpdate, serve, TestClient, type Served } from "./testing/harness.js";

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function start(options: Parameters<typeof serve>[0] = {}): Promise<Served> {
  const served = await serve(options);
  open.push(() => served.transport.stop(200));
  return served;
}
async function enrol(served: Served): Promise<TestClient> {
  const client = await TestClient.enrolled(served.address);
  open.push(() => client.close());
  return client;
}
const metadataless = (client: TestClient, planId: string) =>
  client.call((done) => client.clients.coordinator.decline({ planId, code: "x" }, done));

test("an update goes up, is validated, made durable and answered with a signed receipt", async () => {
  const served = await start();
  const client = await enrol(served);
  const { file, layout, values } = sampleUpdate();
  const planId = served.service.offer(client.clientId, "p-1", layout);

  const receipt = await client.upload(planId, file);

  expect(receipt).toMatchObject({ planId, clientId: client.clientId, blobId: refOf(file).id });
  const [accepted] = served.service.accepted;
  const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  expect(accepted!.updateNorm).toBeCloseTo(norm, 9);
  expect(accepted!.metrics).toMatchObject({ numExamples: 10, trainLoss: 0.5 });
  expect(Buffer.from(await served.blobs.read(receipt.blobId as BlobId, 0, file.byteLength)).equals(file)).toBe(true);
  expect(served.service.bytes.up).toBe(file.byteLength);
  expect(served.transport.intake.openUploads).toBe(0);
});

test("the same commit again gets the same receipt; another update for the plan is a conflict", async () => {
  const served = await start();
  const client = await enrol(served);
  const { file, layout } = sampleUpdate();
  const planId = served.service.offer(client.clientId, "p-1", layout);
  const { uploadId } = await client.begin(planId, refOf(file));
  await client.putChunks(uploadId, file);

  const first = await client.commit(planId, uploadId);
  const second = await client.commit(planId, uploadId);
  const again = await client.begin(planId, refOf(file));

  expect(second).toEqual(first);
  expect(again).toEqual({ uploadId, nextOffset: file.byteLength, complete: true });
  const other = sampleUpdate(1024, (index) => index % 7).file;
  expect(await codeOf(client.upload(planId, other))).toBe("update-conflict");
  expect(served.service.accepted).toHaveLength(1);
});

test("a client that vanishes at 60 % goes on where it was", async () => {
  const served = await start();
  const key = generateKeyPairSync("ed25519").privateKey;
  const first = await TestClient.enrolled(served.address, key);
  const { file, layout } = sampleUpdate(4096);
  const planId = served.service.offer(first.clientId, "p-1", layout);
  const { uploadId } = await first.begin(planId, refOf(file));
  const sixty = Math.floor((file.byteLength * 0.6) / limits.chunkBytes) * limits.chunkBytes;
  const call = first.clients.coordinator.putChunks(first.metadata, () => undefined);
  call.on("error", () => undefined);
  for (let offset = 0; offset < sixty; offset += limits.chunkBytes) call.write(chunkOf(uploadId, file, offset));
  await expect.poll(() => served.service.bytes.up).toBe(sixty);
  call.cancel();
  first.close();

  const second = await TestClient.enrolled(served.address, key);
  open.push(() => second.close());
  const state = await second.begin(planId, refOf(file));
  await second.putChunks(uploadId, file, state.nextOffset);
  const receipt = await second.commit(planId, uploadId);

  expect(state.nextOffset).toBe(sixty);
  expect(receipt.blobId).toBe(refOf(file).id);
  expect(served.service.bytes.up).toBe(file.byteLength);
});

test("a coordinator that restarts between two chunks keeps the verified ones, and sessions stay valid", async () => {
  const medium = new MemoryMedium();
  const before = await serve({ blobs: openMemoryStorage(medium).blobs });
  const client = await TestClient.enrolled(before.address);
  const { file, layout } = sampleUpdate();
  const planId = before.service.offer(client.clientId, "p-1", layout);
  const { uploadId } = await client.begin(planId, refOf(file));
  const middle = 2 * limits.chunkBytes;
  await client.putChunks(uploadId, file, 0, middle);
  client.close();
  await before.transport.stop(200);

  const after = await start({
    blobs: openMemoryStorage(medium).blobs,
    coordinatorKey: before.key,
    service: before.service,
  });
  const again = new TestClient(after.address);
  again.metadata = client.metadata;
  again.coordinatorKey = client.coordinatorKey;
  open.push(() => again.close());
  const lost = await codeOf(again.putChunk(uploadId, file, middle));
  const state = await again.begin(planId, refOf(file));
  await again.putChunks(uploadId, file, state.nextOffset);

  expect(lost).toBe("upload-not-found");
  expect(state).toEqual({ uploadId, nextOffset: middle, complete: false });
  expect((await again.commit(planId, uploadId)).blobId).toBe(refOf(file).id);
});

test("a chunk with a wrong hash is refused alone; the right one is taken", async () => {
  const served = await start();
  const client = await enrol(served);
  const { file, layout } = sampleUpdate();
  const planId = served.service.offer(client.clientId, "p-1", layout);
  const { uploadId } = await client.begin(planId, refOf(file));

  const wrong = client.putChunk(uploadId, file, 0, { sha256: Buffer.alloc(32) });
  expect(await codeOf(wrong)).toBe("chunk-hash-mismatch");
  const early = client.putChunk(uploadId, file, limits.chunkBytes);
  await expect(early).rejects.toMatchObject({ code: "chunk-offset-invalid", details: { nextOffset: "0" } });
  expect(await client.putChunk(uploadId, file, 0)).toBe(limits.chunkBytes);
  expect(await client.putChunk(uploadId, file, 0)).toBe(limits.chunkBytes);
  expect(await codeOf(client.commit(planId, uploadId))).toBe("chunk-offset-invalid");
  await client.putChunks(uploadId, file, limits.chunkBytes);
  expect((await client.commit(planId, uploadId)).planId).toBe(planId);
});

test("chunks that make another blob than announced are refused; the upload starts again", async () => {
  const served = await start();
  const client = await enrol(served);
  const { file, layout } = sampleUpdate();
  const other = sampleUpdate(1024, () => 1).file;
  const planId = served.service.offer(client.clientId, "p-1", layout);
  const { uploadId } = await client.begin(planId, refOf(file));
  await client.putChunks(uploadId, other);

  expect(await codeOf(client.commit(planId, uploadId))).toBe("blob-hash-mismatch");
  expect((await client.begin(planId, refOf(file))).nextOffset).toBe(0);
});

test.each([
  ["update-tensor-missing", (layout: object[]) => [...layout, { name: "z", dtype: "F32", shape: [1] }]],
  ["update-tensor-unexpected", (layout: object[]) => layout.slice(1)],
  ["update-shape", (layout: object[]) => layout.map((spec) => ({ ...spec, shape: [256, 512] }))],
  ["update-dtype", (layout: object[]) => layout.map((spec) => ({ ...spec, dtype: "F16" }))],
])("%s: a refused update is counted, leaves nothing behind, and may be corrected", async (code, change) => {
  const served = await start();
  const client = await enrol(served);
  const { file, layout } = sampleUpdate();
  const planId = served.service.offer(client.clientId, "p-1", change([...layout]) as never);

  expect(await codeOf(client.upload(planId, file))).toBe(code);

  expect(served.service.refused).toEqual([{ planId, code }]);
  expect(await served.blobs.has(refOf(file).id)).toBe(false);
  served.service.offer(client.clientId, "p-1", layout);
  expect((await client.upload(planId, file)).planId).toBe(planId);
});

test("NaN, a norm above the limit and metrics that are no numbers refuse the update", async () => {
  const served = await start();
  const client = await enrol(served);
  const nan = sampleUpdate(1024, (index) => (index === 200_000 ? Number.NaN : 1));
  const large = sampleUpdate(1024, () => 1e6);
  served.service.offer(client.clientId, "p-nan", nan.layout);
  served.service.offer(client.clientId, "p-large", large.layout, 1e9, 10);

  const refusedNan = client.upload("p-nan" as PlanId, nan.file);
  await expect(refusedNan).rejects.toMatchObject({
    code: "update-not-finite",
    message: 'update: tensor "layer.lora_B.weight" is NaN at index 68928',
  });
  expect(await codeOf(client.upload("p-large" as PlanId, large.file))).toBe("update-norm");
  const { file, layout } = sampleUpdate();
  const planId = served.service.offer(client.clientId, "p-metrics", layout);
  const { uploadId } = await client.begin(planId, refOf(file));
  await client.putChunks(uploadId, file);
  expect(await codeOf(client.commit(planId, uploadId, { trainLoss: Number.NaN }))).toBe("update-metrics");
  expect(served.service.refused.map(({ code }) => code)).toEqual([
    "update-not-finite",
    "update-norm",
    "update-metrics",
  ]);
});

test("a truncated file, a file that is no safetensors and a header full of nothing are refused", async () => {
  const served = await start();
  const client = await enrol(served);
  const { file, layout } = sampleUpdate();
  const long = new Uint8Array(2_000_000).fill(0x20);
  new DataView(long.buffer).setBigUint64(0, 1_900_000n, true);
  for (const [name, bytes] of Object.entries({ cut: file.subarray(0, -4), text: Buffer.from("hello"), long })) {
    const planId = served.service.offer(client.clientId, name, layout);
    expect(await codeOf(client.upload(planId, bytes))).toBe("safetensors-invalid");
  }
});

test("closed rounds, unknown plans and plans of others are refused by name", async () => {
  const served = await start();
  const [client, other] = [await enrol(served), await enrol(served)];
  const { file, layout } = sampleUpdate();
  const planId = served.service.offer(client.clientId, "p-1", layout);
  const { uploadId } = await client.begin(planId, refOf(file));

  expect(await codeOf(other.begin(planId, refOf(file)))).toBe("plan-not-yours");
  expect(await codeOf(other.putChunk(uploadId, file, 0))).toBe("plan-not-yours");
  expect(await codeOf(client.begin("nope" as PlanId, refOf(file)))).toBe("plan-unknown");
  await client.putChunks(uploadId, file);
  served.service.plans.get(planId)!.isOpen = false;
  expect(await codeOf(client.commit(planId, uploadId))).toBe("round-closed");
  expect(served.transport.intake.openUploads).toBe(0);
});

test("what is larger than allowed is refused before a byte of it", async () => {
  const served = await start();
  const client = await enrol(served);
  const { file, layout } = sampleUpdate();
  const planId = served.service.offer(client.clientId, "p-1", layout, 1000);

  expect(await codeOf(client.begin(planId, refOf(file)))).toBe("upload-too-large");
  const message = { data: Buffer.alloc(2 * limits.chunkBytes), uploadId: "x", sha256: Buffer.alloc(32) };
  const large = client.call((done) => client.clients.coordinator.putChunk(message, client.metadata, done));
  expect(await codeOf(large)).not.toBe("no failure");
});

test("uploads beyond the limit are told when to come back, and get their turn", async () => {
  const served = await start({ intake: { maxUploads: 2 } });
  const clients = [await enrol(served), await enrol(served), await enrol(served)];
  const { layout } = sampleUpdate();
  const plans = clients.map(({ clientId }, index) => served.service.offer(clientId, `p-${index}`, layout));
  const files = clients.map((_, index) => sampleUpdate(1024, (at) => at + index).file);
  const uploads = await Promise.all([0, 1].map((index) => clients[index]!.begin(plans[index]!, refOf(files[index]!))));

  const refused = clients[2]!.begin(plans[2]!, refOf(files[2]!));
  await expect(refused).rejects.toMatchObject({ code: "upload-busy", retryAfterMs: expect.any(Number) });
  await clients[0]!.putChunks(uploads[0]!.uploadId, files[0]!);
  await clients[0]!.commit(plans[0]!, uploads[0]!.uploadId);
  expect((await clients[2]!.upload(plans[2]!, files[2]!)).planId).toBe(plans[2]);
});

test("an idle upload gives its place to another and is found again later", async () => {
  const served = await start({ intake: { maxUploads: 1, idleMs: 200 } });
  const [first, second] = [await enrol(served), await enrol(served)];
  const { file, layout } = sampleUpdate();
  const other = sampleUpdate(1024, () => 2).file;
  const idle = served.service.offer(first.clientId, "p-idle", layout);
  const busy = served.service.offer(second.clientId, "p-busy", layout);
  const { uploadId } = await first.begin(idle, refOf(file));
  await first.putChunk(uploadId, file, 0);

  await expect.poll(() => codeOf(second.begin(busy, refOf(other))), { timeout: 5000 }).toBe("no failure");
  await second.upload(busy, other);

  expect((await first.begin(idle, refOf(file))).nextOffset).toBe(limits.chunkBytes);
});

test("a blob comes down whole or in ranges, only to those who may read it", async () => {
  const served = await start();
  const client = await enrol(served);
  const { file } = sampleUpdate(4096);
  const id = await served.blobs.put(file);
  served.service.readable.set(id, file.byteLength);
  served.service.nextPoll = {
    kind: "plan",
    plan: fakePlan({ instructions: id, globalAdapter: id, frozen: [] }),
  };
  const poll = await client.call<Parameters<typeof pollAnswerFromWire>[0]>((done) =>
    client.clients.coordinator.poll({}, client.metadata, done),
  );

  expect(pollAnswerFromWire(poll, client.coordinatorKey)).toMatchObject({
    kind: "plan",
    refs: { [id]: file.byteLength },
  });
  expect((await client.getBlob(id)).equals(file)).toBe(true);
  const part = await client.getBlob(id, limits.chunkBytes, 1000);
  expect(part.equals(file.subarray(limits.chunkBytes, limits.chunkBytes + 1000))).toBe(true);
  expect(served.service.bytes.down).toBe(file.byteLength + 1000);
  expect(await codeOf(client.getBlob(id, 64 * limits.chunkBytes))).toBe("blob-range-invalid");
  expect(await codeOf(client.getBlob(id, 5))).toBe("request-invalid");
  expect(await codeOf(client.getBlob("f".repeat(64)))).toBe("blob-not-found");
});

test("calls without a session, with a forged one or one of another coordinator are refused", async () => {
  const [served, stranger] = [await start(), await start()];
  const [client, foreign] = [await enrol(served), await enrol(stranger)];

  expect(await codeOf(metadataless(client, "p"))).toBe("unauthenticated");
  const own = client.metadata;
  client.metadata = foreign.metadata;
  expect(await codeOf(client.commit("p" as PlanId, "u"))).toBe("unauthenticated");
  client.metadata = own;
  expect(await codeOf(client.commit("p" as PlanId, "u"))).toBe("plan-unknown");
});

test("an evaluation is accepted without an upload", async () => {
  const served = await start();
  const client = await enrol(served);
  const planId = served.service.offer(client.clientId, "p-e", []);

  const evaluation = { count: 1, lossSum: 2, confusion: [1, 0, 0, 0] };
  const receipt = await client.commit(planId, undefined, { evaluation });

  expect(receipt).toMatchObject({ planId, blobId: "" });
});

test("counts that are not those of the run's task are refused", async () => {
  const served = await start();
  const client = await enrol(served);
  const { file, layout } = sampleUpdate();
  const evaluated = served.service.offer(client.clientId, "p-e", []);
  const trained = served.service.offer(client.clientId, "p-t", layout);
  const { uploadId } = await client.begin(trained, refOf(file));
  await client.putChunks(uploadId, file);
  const evaluation = { count: 1, lossSum: 2, confusion: [1, 0, 0, 0, 0, 0, 0, 0, 0] };

  expect(await codeOf(client.commit(evaluated, undefined, { evaluation }))).toBe("update-metrics");
  expect(await codeOf(client.commit(trained, uploadId, { evaluation }))).toBe("update-metrics");

  expect(served.service.accepted).toEqual([]);
  expect(served.service.refused).toEqual([
    { planId: evaluated, code: "update-metrics" },
    { planId: trained, code: "update-metrics" },
  ]);
});

test("plaintext beyond loopback is refused", async () => {
  expect(await codeOf(serve({ host: "0.0.0.0" }))).toBe("insecure-refused");
});

test("two plans with the same bytes: refusing one does not take the blob from the other", async () => {
  const served = await start();
  const [first, second] = [await enrol(served), await enrol(served)];
  const { file, layout } = sampleUpdate();
  const good = served.service.offer(first.clientId, "p-good", layout);
  const bad = served.service.offer(second.clientId, "p-bad", layout.slice(1));
  await first.upload(good, file);

  expect(await codeOf(second.upload(bad, file))).toBe("update-tensor-unexpected");

  expect(await served.blobs.has(refOf(file).id)).toBe(true);
});

test("a service that breaks is an internal error without its insides", async () => {
  const served = await start();
  const client = await enrol(served);
  served.service.clients.report = () => Promise.reject(new TypeError("secret path /x/y"));

  const report = client.call((done) =>
    client.clients.coordinator.report({ planId: "p", stage: "training" }, client.metadata, done),
  );

  await expect(report).rejects.toMatchObject({ code: "internal", message: expect.not.stringContaining("secret") });
});
