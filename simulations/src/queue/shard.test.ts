import type { TrainRequest, TrainResult } from "@fedlora/client-sdk";
import { fakeInstructions, fakeRole } from "@fedlora/client-sdk/testing";
import { FedLoraError, fromFloat32, toStateDict } from "@fedlora/core";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { syntheticData } from "../data/synthetic.js";
import { ClientData } from "../runtime/client-data.js";
import { KeyedSecrets } from "../runtime/keyed-secrets.js";
import { TrainerRoom } from "../runtime/trainer-room.js";
import { ContentClient } from "./content-client.js";
import { ContentStore, type ResultAnswer } from "./content-store.js";
import { publishShard } from "./shard.js";
import { readShardResult } from "./shard-result.js";
import { workOnShard } from "./shard-work.js";

const data = syntheticData({
  kind: "synthetic",
  examples: 100,
  features: 4,
  labels: 3,
  spread: 1,
  test: 0,
  heldOut: 0,
});
const { signal } = new AbortController();
const rows = new ClientData("ada", data, {
  trainRows: Int32Array.of(3, 1),
  heldOutRows: Int32Array.of(7),
  relabel: (label) => 2 - label,
});
const state = (value: number): TrainRequest["start"] =>
  toStateDict([["b", fromFloat32(Float32Array.of(value, -0), [2])]]);
const requestOf = (changes: Partial<TrainRequest> = {}): TrainRequest => ({
  ...{
    instructions: fakeInstructions([fakeRole("b", [2])]),
    start: state(1),
    data: rows,
    round: 2,
    streamKey: "run ada",
  },
  optimizerState: undefined,
  ...changes,
});

let folder: string;
let store: ContentStore;
let client: ContentClient;
let answers: { shard: string; bytes: Uint8Array; worker: string }[];
let answer: ResultAnswer;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-shard-"));
  answers = [];
  answer = { status: 204, text: "" };
  store = await ContentStore.listen({
    ...{ host: "127.0.0.1", port: 0, publicHost: "127.0.0.1" },
    onResult: (shard, bytes, worker) => {
      answers.push({ shard, bytes, worker });
      return answer;
    },
  });
  client = new ContentClient({ store: store.address, folder, worker: "host/1" });
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

/** A worker whose trainer is `train`; gives what the trainer was asked. */
function roomOf(train: (request: TrainRequest) => Promise<TrainResult>): TrainerRoom {
  const trainer = { train, evaluate: () => Promise.resolve({ count: 1, lossSum: Number.NaN, confusion: [] }) };
  return new TrainerRoom([{ trainer: trainer as never, engine: { name: "x", fingerprint: "fp", directives: [] } }]);
}
const resultOf = (request: TrainRequest): TrainResult => ({
  trained: state(request.round),
  metrics: {
    numExamples: 2,
    numSteps: 1,
    trainLoss: -0,
    evaluation: undefined,
    trainMs: Math.round(1e6 * performance.now()),
  },
  optimizerState: request.optimizerState,
  stepMs: performance.now(),
});

test("a trainer elsewhere is asked the same, and its answers come back whole", async () => {
  const delta = join(folder, "delta");
  await writeFile(delta, "the file's own bytes");
  const asked: TrainRequest[] = [];
  const room = roomOf((request) => {
    asked.push(request);
    return request.round === 3
      ? Promise.reject(new FedLoraError("data-empty", "nothing"))
      : Promise.resolve(resultOf(request));
  });
  const key = new Uint8Array(32).fill(7);
  const full = requestOf({
    ...{ optimizerState: state(5), isNewcomer: true, secrets: new KeyedSecrets(key) },
    baseDeltas: [{ id: "d1", source: delta }],
  });
  const shard = await publishShard(
    store,
    { session: "s", number: 1 },
    [
      { kind: "train", request: full },
      { kind: "train", request: requestOf({ round: 3 }) },
      { kind: "evaluate", request: requestOf() },
    ],
    3,
  );
  const bytes = await workOnShard(shard.hash, { room, data, contents: client }, signal);

  const first = asked.find(({ round }) => round === 2)!;
  expect(first).toMatchObject({ round: 2, streamKey: "run ada", isNewcomer: true });
  expect(first.instructions).toEqual(full.instructions);
  expect(first.start).toEqual(full.start);
  expect(first.optimizerState).toEqual(state(5));
  expect(first.secrets!.next()).toEqual(new KeyedSecrets(key).next());
  expect(first.baseDeltas![0]).toMatchObject({ id: "d1", source: expect.stringContaining(folder) });
  expect(first.data).toBeInstanceOf(ClientData);
  const got = first.data as unknown as typeof rows;
  expect([got.name, got.trainRows, got.heldOutRows]).toEqual(["ada", rows.trainRows, rows.heldOutRows]);
  expect(got.labelsOf(got.trainRows)).toEqual(rows.labelsOf(rows.trainRows));

  const { engine, outcomes } = readShardResult(bytes, shard.hash, 3);
  expect(engine).toBe("fp");
  expect(outcomes[0]).toMatchObject({
    kind: "trained",
    result: { trained: state(2), optimizerState: state(5), stepMs: 0, metrics: { trainLoss: -0, trainMs: 0 } },
  });
  expect(outcomes[1]).toMatchObject({ kind: "failed", error: { code: "data-empty", message: "nothing" } });
  expect(outcomes[2]).toEqual({ kind: "evaluated", counts: { count: 1, lossSum: Number.NaN, confusion: [] } });
});

test("a shard that is done twice gives the same bytes, whatever the clock says", async () => {
  const room = roomOf((request) => Promise.resolve(resultOf(request)));
  const shard = await publishShard(store, { session: "s", number: 1 }, [{ kind: "train", request: requestOf() }], 3);
  const work = { room, data, contents: client };
  const first = await workOnShard(shard.hash, work, signal);
  expect(await workOnShard(shard.hash, work, signal)).toEqual(first);
});

test("what nobody needs any more is not held; what is asked for by two is held until both let go", async () => {
  const wanted = [{ kind: "train", request: requestOf() }] as const;
  const one = await publishShard(store, { session: "s", number: 1 }, wanted, 3);
  const two = await publishShard(store, { session: "s", number: 2 }, wanted, 3);
  expect(one.hash).not.toBe(two.hash);
  for (const content of one.contents) store.release(content);
  await expect(client.fetch(one.hash, signal)).rejects.toMatchObject({ code: "blob-not-found" });
  const [start] = two.contents as [string];
  expect(one.contents).toContain(start);
  expect((await client.fetch(start, signal)).byteLength).toBeGreaterThan(0);
});

test("without the token nothing is given, nothing taken", async () => {
  const hash = store.hold(Uint8Array.of(1));
  const stranger = new ContentClient({ store: { ...store.address, token: "0".repeat(64) }, folder, worker: "w" });
  await expect(stranger.fetch(hash, signal)).rejects.toMatchObject({ code: "unavailable", message: /answer 401/ });
  await expect(stranger.sendResult(hash, Uint8Array.of(1), signal)).rejects.toMatchObject({ message: /wrong token/ });
  expect(answers).toEqual([]);
  expect(await client.fetch(hash, signal)).toEqual(Uint8Array.of(1));
});

test("a result arrives with its sender, and a refusal comes back with its reason", async () => {
  const shard = "a".repeat(64);
  await client.sendResult(shard, Uint8Array.of(1, 2), signal);
  expect(answers).toEqual([{ shard, bytes: Uint8Array.of(1, 2), worker: "host/1" }]);
  answer = { status: 409, text: "nobody waits for it" };
  await expect(client.sendResult(shard, Uint8Array.of(1), signal)).rejects.toMatchObject({
    code: "request-invalid",
    message: "the result was refused: nobody waits for it",
  });
  await store.close();
  await expect(client.sendResult(shard, Uint8Array.of(1), signal)).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining(store.address.url),
  });
});

test("rows that the data do not have are refused", async () => {
  const beyond = new ClientData("eve", data, { trainRows: Int32Array.of(100), heldOutRows: new Int32Array(0) });
  const wanted = [{ kind: "train", request: requestOf({ data: beyond }) }] as const;
  const shard = await publishShard(store, { session: "s", number: 1 }, wanted, 3);
  const room = roomOf((request) => Promise.resolve(resultOf(request)));
  await expect(workOnShard(shard.hash, { room, data, contents: client }, signal)).rejects.toMatchObject({
    code: "request-invalid",
    message: "shard: row 100 of eve; the data have 100",
  });
});

test("a result of another shard, or with an outcome too few, is refused", async () => {
  const room = roomOf((request) => Promise.resolve(resultOf(request)));
  const shard = await publishShard(store, { session: "s", number: 1 }, [{ kind: "train", request: requestOf() }], 3);
  const bytes = await workOnShard(shard.hash, { room, data, contents: client }, signal);
  expect(() => readShardResult(bytes, "b".repeat(64), 1)).toThrow(/it is of shard/);
  expect(() => readShardResult(bytes, shard.hash, 2)).toThrow(/1 outcomes of 2 requests/);
  expect(() => readShardResult(bytes.subarray(0, 100), shard.hash, 1)).toThrow(FedLoraError);
});
