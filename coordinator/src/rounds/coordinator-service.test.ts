import { describe, expect, test } from "vitest";

import { TestClient, openTestCoordinator, testManifest, testSpec } from "../testing/federation.js";
import { openMemoryStorage } from "../storage/memory-storage.js";

describe("a run from beginning to end", () => {
  test("goes through all rounds and ends with an adapter", async () => {
    const storage = openMemoryStorage();
    const service = await openTestCoordinator(storage);
    const clients = ["ann", "bob"].map(
      (name) =>
        new TestClient(
          name,
          () => service,
          () => storage,
        ),
    );
    for (const client of clients) await client.enrol();
    await service.admin.registerModel(testManifest);
    const { summary } = await service.admin.createRun("key-1", testSpec());
    expect(summary).toMatchObject({ state: "running", phase: "selecting", round: 1, rounds: 2, method: "fedavg" });

    const ends = await Promise.all(clients.map((client) => client.takePart()));

    const detail = await service.admin.getRun(summary.runId);
    expect(detail.summary).toMatchObject({ state: "completed", reason: "" });
    expect(
      detail.rounds.map(({ planned, accepted, declined, dropouts, refused }) => [
        planned,
        accepted,
        declined,
        dropouts,
        refused,
      ]),
    ).toEqual([
      [2, 2, 0, 0, 0],
      [2, 2, 0, 0, 0],
    ]);
    expect(detail.rounds[1]?.evaluation).toEqual({
      count: 20,
      loss: 0.5,
      accuracy: 0.8,
      f1: 0.8,
      confusion: [8, 2, 2, 8],
    });
    expect(detail.bestRound).toBe(1);
    expect(ends.map(({ state }) => state)).toEqual(["completed", "completed"]);
    expect(ends[0]?.globalAdapter?.id).toBe(detail.rounds[0]?.adapterBlobId);
    await service.close();
  });
});
