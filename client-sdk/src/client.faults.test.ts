import { FedLoraError, sha256 } from "@fedlora/core";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createClientHarness, type ClientHarness, type HarnessOptions } from "./testing/client-harness.js";
import { FakeConnection } from "./testing/fake-connection.js";
import { FakeCoordinator } from "./testing/fake-coordinator.js";
import { createFastClock } from "./testing/fast-clock.js";

const opened: ClientHarness[] = [];
const open = async (options?: HarnessOptions): Promise<ClientHarness> => {
  const harness = await createClientHarness(options);
  opened.push(harness);
  return harness;
};
afterEach(async () => {
  for (const harness of opened.splice(0)) await harness.dispose();
});

const unavailable = (): FedLoraError => new FedLoraError("unavailable", "the connection broke");
const updateBytes = (harness: ClientHarness): number => harness.seen("uploading").at(-1)?.totalBytes ?? Number.NaN;

describe("a broken upload", () => {
  test("goes on at the last verified chunk after the client vanished at 60 %", async () => {
    const harness = await open();
    const stop = new AbortController();
    harness.fake.onCall = ({ method, when, offset }) => {
      if (method === "chunkUp" && when === "before" && offset === 2 * 262_144) stop.abort();
    };

    await harness.run({}, stop.signal);
    const sentBefore = harness.fake.receivedBytes;
    harness.fake.onCall = () => undefined;
    await harness.run();

    expect(sentBefore).toBe(2 * 262_144);
    expect(harness.fake.receivedBytes).toBe(updateBytes(harness));
    expect(harness.trainer.trained).toHaveLength(1);
    expect(harness.fake.accepted).toHaveLength(1);
  });

  test("goes on at the last verified chunk after the connection broke, without a restart", async () => {
    const harness = await open();
    harness.fake.onCall = ({ method, when, offset, count }) => {
      if (method === "chunkUp" && when === "before" && offset === 262_144 && count === 2) throw unavailable();
    };

    await harness.run();

    expect(harness.fake.receivedBytes).toBe(updateBytes(harness));
    expect(harness.seen("retrying")).toMatchObject([{ code: "unavailable" }]);
    expect(harness.trainer.trained).toHaveLength(1);
  });

  test("survives a coordinator that restarts in its middle and forgets the session", async () => {
    const harness = await open();
    harness.fake.onCall = ({ method, when, offset, count }) => {
      if (method === "chunkUp" && when === "after" && offset === 0 && count === 1) {
        harness.fake.restart();
        throw unavailable();
      }
    };

    await harness.run();

    expect(harness.seen("enrolled")).toHaveLength(2);
    expect(harness.fake.receivedBytes).toBe(updateBytes(harness));
    expect(harness.fake.accepted).toHaveLength(1);
  });

  test("gets the same receipt when the answer to its commit was lost, and does not train again", async () => {
    const harness = await open({ coordinator: { rounds: 1 } });
    const stop = new AbortController();
    harness.fake.onCall = ({ method, when }) => {
      if (method !== "commit" || when !== "after") return;
      stop.abort();
      throw unavailable();
    };

    await harness.run({}, stop.signal);
    harness.fake.onCall = () => undefined;
    await harness.run();

    expect(harness.trainer.trained).toHaveLength(1);
    expect(harness.fake.accepted).toHaveLength(1);
    expect(harness.seen("accepted")).toHaveLength(1);
    expect(harness.fake.receivedBytes).toBe(updateBytes(harness));
  });

  test("whose file was damaged before it was sent is not sent", async () => {
    const harness = await open({ coordinator: { rounds: 2 } });
    const stop = new AbortController();
    harness.fake.onCall = ({ method }) => (method === "beginUpload" ? stop.abort() : undefined);
    await harness.run({}, stop.signal);
    const folder = join(harness.folder, "work");
    const file = (await readdir(folder)).find((name) => name.includes("update"))!;
    const bytes = await readFile(join(folder, file));
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    await writeFile(join(folder, file), bytes);
    harness.fake.onCall = ({ method, when }) => {
      if (method === "decline" && when === "after") harness.fake.closeRound();
    };

    await harness.run();

    expect(harness.seen("refused")).toMatchObject([{ code: "file-invalid", round: 1 }]);
    expect(harness.fake.declined).toMatchObject([{ code: "file-invalid" }]);
    expect(harness.seen("accepted").map(({ receipt }) => receipt.round)).toEqual([2]);
  });

  test("that gets a receipt for another update keeps its own and trusts no longer", async () => {
    const harness = await open();
    const transport = new FakeConnection(harness.fake);
    const commit = transport.commit.bind(transport);
    transport.commit = async (...args) => ({ ...(await commit(...args)), blobId: "0".repeat(64) as never });

    await expect(harness.run({ transport })).rejects.toMatchObject({ code: "coordinator-untrusted" });
    expect((await readdir(join(harness.folder, "work"))).some((name) => name.includes("update"))).toBe(true);
  });

  test("of an update that the coordinator refuses is reported once and the plan is declined", async () => {
    const harness = await open();
    harness.fake.onCall = ({ method, when }) => {
      if (method === "commit" && when === "before") throw new FedLoraError("update-norm", "too large");
      if (method === "decline" && when === "after") harness.fake.closeRound();
    };

    await harness.run();

    expect(harness.seen("refused")).toMatchObject([{ code: "update-norm", round: 1 }]);
    expect(harness.fake.declined).toMatchObject([{ code: "update-norm" }]);
    expect(harness.trainer.trained).toHaveLength(1);
  });
});

describe("a broken download", () => {
  test("asks again for a chunk whose hash is wrong, and only for what follows it", async () => {
    const harness = await open();
    let corrupted = 0;
    const asked: number[] = [];
    harness.fake.onCall = ({ method, when, offset }) => {
      if (method === "getBlob" && when === "before") asked.push(offset ?? -1);
    };
    harness.fake.onChunkDown = (chunk) => {
      if (chunk.offset !== 262_144 || corrupted++ > 0) return chunk;
      return { ...chunk, data: chunk.data.map((byte, i) => (i === 9 ? byte ^ 1 : byte)) };
    };

    await harness.run();

    expect(harness.seen("retrying")).toMatchObject([{ code: "chunk-hash-mismatch" }]);
    expect(asked).toContain(262_144);
    expect(harness.fake.accepted).toHaveLength(1);
  });

  test("gives up a blob whose chunks are consistent but not the ones of its id", async () => {
    const harness = await open();
    harness.fake.onChunkDown = (chunk) => {
      if (chunk.total < 700_000) return chunk;
      const data = chunk.data.map((byte) => byte ^ 1);
      return { ...chunk, data, sha256: sha256(data) };
    };
    harness.fake.onCall = ({ method, when }) => {
      if (method === "decline" && when === "after") {
        harness.fake.onChunkDown = (chunk) => chunk;
        harness.fake.closeRound();
      }
    };

    await harness.run();

    expect(harness.seen("declined")).toMatchObject([{ code: "blob-hash-mismatch" }]);
    expect(harness.trainer.trained).toHaveLength(0);
  });

  test("resumes after a restart of the client", async () => {
    const harness = await open();
    const stop = new AbortController();
    const offsets: number[] = [];
    harness.fake.onCall = ({ method, when, offset }) => {
      if (method === "getBlob" && when === "before") offsets.push(offset ?? -1);
      if (method === "chunkDown" && offset === 2 * 262_144) stop.abort();
    };

    await harness.run({}, stop.signal);
    harness.fake.onCall = ({ method, when, offset }) => {
      if (method === "getBlob" && when === "before") offsets.push(offset ?? -1);
    };
    await harness.run();

    expect(offsets).toEqual([0, 0, 2 * 262_144, 0]); // instructions, adapter, its rest, the final adapter
    expect(harness.fake.accepted).toHaveLength(1);
  });
});

describe("a coordinator that goes away", () => {
  test("in the middle of a poll is waited for and enrolled with again", async () => {
    const harness = await open({ coordinator: { rounds: 2 } });
    harness.fake.onCall = ({ method, when, count }) => {
      if (method === "poll" && when === "before" && (count === 2 || count === 3)) {
        harness.fake.restart();
        throw unavailable();
      }
    };

    await harness.run();

    expect(harness.fake.accepted).toHaveLength(2);
    expect(harness.seen("enrolled")).toHaveLength(2);
    expect(harness.seen("ended")).toHaveLength(1);
  });

  test("during training is enrolled with again by the reports, so that the client is not taken for silent", async () => {
    let enrolledWhileTraining = 0;
    const harness = await open({
      trainer: {
        steps: 1,
        onStep: async () => {
          harness.fake.restart();
          // Reports come by timers: as long as it takes, within the test's own limit.
          await vi.waitUntil(() => harness.seen("enrolled").length === 2, { timeout: 20_000, interval: 5 });
          enrolledWhileTraining = harness.seen("enrolled").length;
        },
      },
    });

    await harness.run();

    expect(enrolledWhileTraining).toBe(2);
    expect(harness.fake.reports.some(({ stage }) => stage === "training")).toBe(true);
    expect(harness.seen("enrolled")).toHaveLength(2);
    expect(harness.fake.accepted).toHaveLength(1);
  });

  test("and offers a plan over and over that came to nothing is not asked in a tight loop", async () => {
    const harness = await open();
    const clock = createFastClock();
    let declines = 0;
    const transport = new FakeConnection(harness.fake);
    transport.decline = () => {
      if (++declines === 12) harness.fake.closeRound();
      return Promise.resolve();
    };

    await harness.run({ transport, clock, policy: { methods: [] }, reportIntervalMs: 1 });

    expect(harness.seen("declined")).toHaveLength(1);
    expect(clock.elapsedMs()).toBeGreaterThan(60_000);
  });

  test("and comes back with another key is not trusted", async () => {
    const harness = await open();
    await harness.run();
    const other = new FakeCoordinator(harness.fake.options);

    const again = harness.run({ transport: new FakeConnection(other) });

    await expect(again).rejects.toMatchObject({ code: "coordinator-untrusted" });
  });

  test("is given up after the attempts that the caller allows", async () => {
    const harness = await open();
    harness.fake.onCall = () => {
      throw unavailable();
    };

    await expect(harness.run({ retry: { maxAttempts: 3 } })).rejects.toMatchObject({ code: "unavailable" });
    expect(harness.seen("retrying").length).toBeGreaterThan(0);
  });
});
