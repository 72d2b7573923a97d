import type { RunSpec } from "@fedlora/core";
import { describe, expect, test } from "vitest";

import { MemoryMedium, openMemoryStorage } from "../storage/memory-storage.js";
import type { Journal, Storage } from "../storage/storage.js";
import type { CoordinatorService } from "../service.js";
import type { AggregationRunner } from "../aggregate/aggregation.js";
import {
  TestClient,
  countingBytes,
  inlineAggregation,
  openTestCoordinator,
  testManifest,
  testSpec,
} from "../testing/federation.js";

/** The process dies at its n-th append: before the events are durable, or after, but before anybody hears of it. */
function dyingStorage(medium: MemoryMedium, dieAt: number, isDurable: boolean, onDeath: () => void): Storage {
  const storage = openMemoryStorage(medium);
  let appends = 0;
  const journal = Object.create(storage.journal) as Journal;
  const dead = new Promise<never>(() => undefined);
  Object.defineProperties(journal, {
    sequence: { get: () => storage.journal.sequence },
    epoch: { get: () => storage.journal.epoch },
    read: { value: (after: number) => storage.journal.read(after) },
    readSnapshot: { value: (name: string) => storage.journal.readSnapshot(name) },
    trim: { value: () => Promise.resolve() },
    writeSnapshot: {
      value: (...args: Parameters<Journal["writeSnapshot"]>) =>
        appends >= dieAt ? dead : storage.journal.writeSnapshot(...args),
    },
    append: {
      value: async (...args: Parameters<Journal["append"]>) => {
        appends += 1;
        if (appends < dieAt) return storage.journal.append(...args);
        if (appends === dieAt && isDurable) await storage.journal.append(...args);
        onDeath();
        return dead;
      },
    },
  });
  return { ...storage, journal };
}

interface Outcome {
  readonly adapters: readonly string[];
  readonly accepted: readonly number[];
  readonly died: boolean;
  /** Plans by the number of times that they were accepted. */
  readonly acceptances: ReadonlyMap<string, number>;
}

/** Two rounds of two clients, with a coordinator that dies once and is started again. */
async function runWithDeath(
  dieAt: number,
  isDurable: boolean,
  spec: RunSpec = testSpec(),
  aggregation: AggregationRunner = inlineAggregation,
): Promise<Outcome> {
  const medium = new MemoryMedium();
  let died = false;
  let onDeath: () => void = () => undefined;
  const death = new Promise<"dead">((resolve) => {
    onDeath = () => {
      died = true;
      resolve("dead");
    };
  });
  let storage = dyingStorage(medium, dieAt, isDurable, onDeath);
  let service: CoordinatorService = await openTestCoordinator(storage, { aggregation });
  const clients = ["ann", "bob"].map(
    (name) =>
      new TestClient(
        name,
        () => service,
        () => storage,
      ),
  );
  const federation = async (): Promise<"done"> => {
    for (const client of clients) await client.enrol();
    await service.admin.registerModel(testManifest);
    await service.admin.createRun("key-1", spec);
    await Promise.all(clients.map((client) => client.takePart()));
    return "done";
  };
  const first = await Promise.race([federation(), death]);
  if (first === "dead") {
    // Nothing of the old process is closed: it is gone. What its clients waited for never comes.
    storage = openMemoryStorage(medium);
    service = await openTestCoordinator(storage, { randomBytes: countingBytes(2), aggregation });
    await federation();
  }
  const [summary] = await service.admin.listRuns();
  const { rounds } = await service.admin.getRun(summary!.runId);
  await service.close();
  expect(medium.secrets.size).toBe(0);
  const acceptances = new Map<string, number>();
  for (const { event } of medium.events) {
    if (event.type !== "update-accepted") continue;
    acceptances.set(String(event["planId"]), (acceptances.get(String(event["planId"])) ?? 0) + 1);
  }
  return {
    adapters: rounds.map(({ adapterBlobId }) => adapterBlobId),
    accepted: rounds.map(({ accepted }) => accepted),
    died,
    acceptances,
  };
}

describe("a coordinator that is killed and started again", () => {
  test.each([false, true])("ends with the same adapters wherever it dies (durable: %s)", async (isDurable) => {
    const undisturbed = await runWithDeath(Number.POSITIVE_INFINITY, false);
    expect(undisturbed.adapters).toHaveLength(2);
    let dieAt = 1;
    for (; ; dieAt++) {
      const outcome = await runWithDeath(dieAt, isDurable);
      expect([dieAt, outcome.adapters]).toEqual([dieAt, undisturbed.adapters]);
      expect(outcome.accepted).toEqual([2, 2]);
      expect([...outcome.acceptances.values()]).toEqual([1, 1, 1, 1]);
      if (!outcome.died) break;
    }
    expect(dieAt).toBeGreaterThan(18);
  });
});

describe("a private coordinator that is killed and started again", () => {
  const spec = testSpec({
    cohort: { size: 2 },
    privacy: { mode: "client", delta: 1e-3, clipNorm: 1, noiseMultiplier: 1, accountant: "rdp", population: 2 },
  });

  test.each([false, true])("draws the noise of a round once, wherever it dies (durable: %s)", async (isDurable) => {
    let repeated = 0;
    for (let dieAt = 1; ; dieAt++) {
      const keys = new Map<number, Set<string>>();
      const results = new Map<number, Set<string>>();
      const jobs = new Map<number, number>();
      const note = (notes: Map<number, Set<string>>, round: number, bytes: Uint8Array): void => {
        notes.set(round, (notes.get(round) ?? new Set()).add(Buffer.from(bytes).toString("hex")));
      };
      const watched: AggregationRunner = {
        async run(job, signal) {
          note(keys, job.round, job.release!.key);
          jobs.set(job.round, (jobs.get(job.round) ?? 0) + 1);
          const outcome = await inlineAggregation.run(job, signal);
          if (outcome.kind === "adapter") note(results, job.round, outcome.global);
          return outcome;
        },
        close: () => Promise.resolve(),
      };
      // The noise is the system's: what is drawn a second time differs.
      const outcome = await runWithDeath(dieAt, isDurable, spec, watched);
      expect(outcome.accepted).toEqual([2, 2]);
      expect([dieAt, ...[...keys.values()].map(({ size }) => size)]).toEqual([dieAt, 1, 1]);
      expect([dieAt, ...[...results.values()].map(({ size }) => size)]).toEqual([dieAt, 1, 1]);
      expect(new Set(outcome.adapters).size).toBe(2);
      repeated += [...jobs.values()].filter((count) => count > 1).length;
      if (!outcome.died) break;
    }
    // The process did die between an aggregation and its commit.
    if (!isDurable) expect(repeated).toBeGreaterThan(0);
  });
});
