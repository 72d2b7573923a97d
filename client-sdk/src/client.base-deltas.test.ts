import {
  baseDeltaKeys,
  blobIdOf,
  fromFloat32,
  readSafetensors,
  type StateDict,
  toFloat32,
  writeSafetensors,
} from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { FederatedClient } from "./client.js";
import type { ClientEvent } from "./client/options.js";
import { inspectModel } from "./models/inspect.js";
import { deltaFiles } from "./testing/changed-bases.js";
import { createClientHarness, type ClientHarness, type HarnessOptions } from "./testing/client-harness.js";
import { FakeConnection } from "./testing/fake-connection.js";
import { FakeCoordinator, type FakeCoordinatorOptions } from "./testing/fake-coordinator.js";
import { createFastClock } from "./testing/fast-clock.js";
import { dataOf, openTinyWorkbench, peftFolder, readPeftGolden, trainEverything } from "./testing/tiny-models.js";

const cleanUp: (() => Promise<unknown>)[] = [];
const open = async (options?: HarnessOptions): Promise<ClientHarness> => {
  const harness = await createClientHarness(options);
  cleanUp.push(() => harness.dispose());
  return harness;
};
afterEach(async () => {
  for (const remove of cleanUp.splice(0).reverse()) await remove();
});

/** Deltas as the protocol sees them: any tensors. */
const someDeltas = (count: number): StateDict[] =>
  Array.from({ length: count }, (_, index) => new Map([["w", fromFloat32(Float32Array.of(index), [1])]]));
const idOf = (delta: StateDict): string => blobIdOf(writeSafetensors(delta), nodeSha256);
const declinedWith = async (harness: ClientHarness): Promise<{ code: string; reason: string } | undefined> => {
  harness.fake.onCall = ({ method, when }) => {
    if (method === "decline" && when === "after") harness.fake.closeRound();
  };
  await harness.run();
  expect(harness.trainer.trained).toHaveLength(0);
  expect(harness.fake.declined).toHaveLength(1);
  return harness.fake.declined[0];
};

describe("a plan on changed base weights", () => {
  test("reaches the trainer with the files of the whole chain, for a client that joins late", async () => {
    const baseDeltas = someDeltas(3);
    const harness = await open({ coordinator: { baseDeltas, baseVersions: () => ({ from: 0, to: 3 }) } });

    await harness.run();

    const given = harness.trainer.trained[0]!.baseDeltas!;
    expect(given.map(({ id }) => id)).toEqual(baseDeltas.map(idOf));
    for (const [index, { source }] of given.entries()) {
      expect(blobIdOf(await readFile(source as string))).toBe(idOf(baseDeltas[index]!));
    }
    expect(harness.fake.accepted).toHaveLength(1);
  });

  test("goes on from the version of an earlier round, across a restart and rounds that were missed", async () => {
    const baseDeltas = someDeltas(4);
    const baseVersions = (round: number) => (round === 1 ? { from: 0, to: 1 } : { from: 1, to: 4 });
    const harness = await open({ coordinator: { rounds: 2, baseDeltas, baseVersions } });
    const stop = new AbortController();
    harness.fake.onCall = ({ method, when }) => {
      if (method === "commit" && when === "after") stop.abort();
    };

    await harness.run({}, stop.signal);
    harness.fake.onCall = () => undefined;
    await harness.run();

    const chains = harness.trainer.trained.map(({ baseDeltas: given }) => given!.map(({ id }) => id));
    expect(chains).toEqual([baseDeltas.slice(0, 1).map(idOf), baseDeltas.map(idOf)]);
  });

  test("downloads only what is not merged already", async () => {
    const baseDeltas = someDeltas(3);
    const harness = await open({
      coordinator: { baseDeltas, baseVersions: () => ({ from: 0, to: 3 }) },
      trainer: { heldBaseDeltas: 2 },
    });
    const [first, second] = baseDeltas.map(idOf);
    const asked: string[] = [];
    const connection = new FakeConnection(harness.fake);
    const getBlob = connection.getBlob.bind(connection);
    connection.getBlob = (id, ...rest) => {
      asked.push(id);
      return getBlob(id, ...rest);
    };

    await harness.run({ transport: connection });

    expect(harness.trainer.trained[0]!.baseDeltas!.map(({ source }) => source !== undefined)).toEqual([
      false,
      false,
      true,
    ]);
    expect(asked).toContain(idOf(baseDeltas[2]!));
    expect(asked).not.toContain(first);
    expect(asked).not.toContain(second);
  });

  test("is evaluated on them, too", async () => {
    const harness = await open({
      coordinator: { evaluate: true, baseDeltas: someDeltas(1), baseVersions: () => ({ from: 0, to: 1 }) },
    });

    await harness.run();

    expect(harness.trainer.evaluated[0]!.baseDeltas).toHaveLength(1);
  });

  test.each<[string, Partial<FakeCoordinatorOptions>, RegExp]>([
    ["a gap", { envelope: { baseVersion: 3 } }, /lead to version 2, it asks for 3/u],
    [
      "a beginning that it does not hold",
      { baseVersions: () => ({ from: 1, to: 2 }) },
      /from version 1, this client holds 0/u,
    ],
    ["no chain at all", { baseDeltas: [] }, /from version 2, this client holds 0/u],
  ])("is declined for %s, before anything is fetched", async (_, changes, reason) => {
    const baseVersions = () => ({ from: 0, to: 2 });
    const harness = await open({ coordinator: { baseDeltas: someDeltas(2), baseVersions, ...changes } });
    const declined = await declinedWith(harness);
    expect(declined).toMatchObject({ code: "request-invalid", reason: expect.stringMatching(reason) as string });
    expect(harness.seen("downloaded")).toEqual([]);
  });

  test("is declined where a delta's bytes are not those of its hash", async () => {
    const baseDeltas = someDeltas(2);
    const harness = await open({ coordinator: { baseDeltas, baseVersions: () => ({ from: 0, to: 2 }) } });
    harness.fake.onCall = () => undefined;
    const other = writeSafetensors(new Map([["w", fromFloat32(Float32Array.of(7), [1])]]));
    const poll = harness.fake.poll.bind(harness.fake);
    harness.fake.poll = (clientId) => {
      const answer = poll(clientId);
      harness.fake.blobs.set(idOf(baseDeltas[1]!) as never, other);
      return answer;
    };

    expect(await declinedWith(harness)).toMatchObject({ code: "blob-hash-mismatch" });
  });

  test("is declined by a trainer that cannot change base weights", async () => {
    const coordinator = { baseDeltas: someDeltas(1), baseVersions: () => ({ from: 0, to: 1 }) };
    const harness = await open({ coordinator, trainer: { heldBaseDeltas: null } });

    expect(await declinedWith(harness)).toMatchObject({ code: "directive-unknown" });
  });
});

describe("the adapter that stays after the run", () => {
  const stored = async ({ folder }: ClientHarness) => {
    const { tensors, metadata } = readSafetensors(await readFile(join(folder, "global-adapter.safetensors")));
    const chain = JSON.parse(metadata.get("baseChain") ?? "") as { readonly blob: string }[];
    return { first: toFloat32(tensors.get("b")!)[0], chain: chain.map(({ blob }) => blob) };
  };

  test("is the final one with the chain that it counts on, fetched for times without a coordinator", async () => {
    const baseDeltas = someDeltas(2);
    const harness = await open({ coordinator: { rounds: 2, baseDeltas } });

    await harness.run();

    const expected = { first: toFloat32(harness.fake.global.get("b")!)[0], chain: baseDeltas.map(idOf) };
    expect(await stored(harness)).toEqual(expected);
    expect(await readdir(join(harness.folder, "blobs"))).toEqual(expect.arrayContaining(expected.chain));
  });

  test("is the latest one where the final one comes without its base weights", async () => {
    const baseDeltas = someDeltas(2);
    const harness = await open({ coordinator: { rounds: 2, baseDeltas } });
    const poll = harness.fake.poll.bind(harness.fake);
    harness.fake.poll = (clientId) => {
      const answer = poll(clientId);
      return answer.kind === "ended" ? { ...answer, baseDeltas: [] } : answer;
    };

    await harness.run();

    // It was received for round 2, before the run's last change: one below the final one.
    const first = toFloat32(harness.fake.global.get("b")!)[0]! - 1;
    expect(await stored(harness)).toEqual({ first, chain: baseDeltas.slice(0, 1).map(idOf) });
  });
});

describe("a client with a model", () => {
  const setUp = async (others: Partial<FakeCoordinatorOptions> = {}) => {
    const folder = await mkdtemp(join(tmpdir(), "fedlora-changed-client-"));
    cleanUp.push(() => rm(folder, { recursive: true }));
    const tiny = await openTinyWorkbench("bert");
    cleanUp.push(() => tiny.remove());
    const golden = await readPeftGolden();
    const adapter = await tiny.readAdapter("plain");
    const baseModel = join(peftFolder, "bert", "base");
    const deltas = deltaFiles("bert");
    const fake = new FakeCoordinator({
      baseModelHash: (await inspectModel(baseModel)).hash,
      instructions: trainEverything(adapter, { localSteps: 1, batchSize: 2, optimizer: { learningRate: 1e-4 } }),
      initial: adapter.tensors,
      baseDeltas: await Promise.all(deltas.map(async ({ source }) => readSafetensors(await readFile(source)).tensors)),
      ...others,
    });
    const examples = golden.bert.texts.map((text, index) => ({ text, label: golden.training.bert.labels[index]! }));
    const client = new FederatedClient({
      coordinator: "127.0.0.1:1",
      baseModel,
      stateFolder: folder,
      data: dataOf(examples),
      engine: { engine: "onnxruntime-cpu", threads: 1 },
      transport: new FakeConnection(fake),
      clock: createFastClock(),
      random: () => 0.5,
    });
    cleanUp.push(() => client.close());
    const events: ClientEvent[] = [];
    return {
      fake,
      client,
      tiny,
      adapter,
      deltas,
      events,
      texts: golden.bert.texts,
      run: () => client.runToEnd(undefined, (event) => events.push(event)),
    };
  };

  test("trains round after round as the base changes, and its model has the base of its adapter", async () => {
    const { fake, client, tiny, adapter, texts, run, events } = await setUp({ rounds: 4 });

    await run();
    const scores = (await (await client.model()).classify(texts)).map(({ score }) => score);

    expect(fake.accepted).toHaveLength(4);
    expect(events.filter(({ type }) => type === "declined")).toEqual([]);
    // The run ends after the delta of its fourth round. What the coordinator holds was written by safetensors of ours.
    const written = fake.options.baseDeltas!.map((source) => ({ id: idOf(source), source }));
    const final = { ...adapter, tensors: fake.global };
    const expected = await tiny.adapt(final, written).classify(texts);
    const unchanged = await tiny.adapt(final).classify(texts);
    scores.forEach((score, index) => expect(score).toBeCloseTo(expected[index]!.score, 5));
    const largest = Math.max(...scores.map((score, index) => Math.abs(score - unchanged[index]!.score)));
    expect(largest).toBeGreaterThan(0.05);
  });

  test("declines a delta that does not fit, by its code and without the words of its own machine", async () => {
    const { b, a } = baseDeltaKeys("bert.encoder.layer.0.intermediate.dense");
    const wrong: StateDict = new Map([
      [a, fromFloat32(new Float32Array(2 * 24), [2, 24])], // the other way round: [2, 16] and [24, 2] would fit
      [b, fromFloat32(new Float32Array(16 * 2), [16, 2])],
    ]);
    const { fake, run } = await setUp({ baseDeltas: [wrong], baseVersions: () => ({ from: 0, to: 1 }) });
    fake.onCall = ({ method, when }) => {
      if (method === "decline" && when === "after") fake.closeRound();
    };

    await run();

    expect(fake.accepted).toEqual([]);
    expect(fake.declined).toMatchObject([{ code: "adapter-invalid" }]);
    expect(fake.declined[0]!.reason).not.toContain("[2, 24]");
  });
});
