import { describe, expect, test } from "vitest";

import { MemoryMedium, openMemoryStorage } from "../storage/memory-storage.js";
import type { Journal, Storage } from "../storage/storage.js";
import type { CoordinatorService } from "../service.js";
import { TestClient, countingBytes, openTestCoordinator, testManifest, testSpec } from "../testing/federation.js";

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
async function runWithDeath(dieAt: number, isDurable: boolean): Promise<Outcome> {
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
  let service: CoordinatorService = await openTestCoordinator(storage);
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
    await service.admin.createRun("key-1", testSpec());
    await Promise.all(clients.map((client) => client.takePart()));
    return "done";
  };
  const first = await Promise.race([federation(), death]);
  if (first === "dead") {
    // Nothing of the old process is closed: it is gone. What its clients waited for never comes.
    storage = openMemoryStorage(medium);
    service = await openTestCoordinator(storage, { randomBytes: countingBytes(2) });
    await federation();
  }
  const [summary] = await service.admin.listRuns();
  const { rounds } = await service.admin.getRun(summary!.runId);
  await service.close();
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
