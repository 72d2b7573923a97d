import type { RoundPlan } from "@fedlora/core";
import { describe, expect, test } from "vitest";

import { MemoryMedium, openMemoryStorage } from "../storage/memory-storage.js";
import type { Journal, Snapshot, Storage } from "../storage/storage.js";
import { ClockedFederation } from "../testing/clocked-federation.js";
import { countingBytes, openTestCoordinator } from "../testing/federation.js";

const names = ["ann", "bob"] as const;

/** As a reducer that this build knows nothing of would have left it. */
function asOfAnotherReducer(text: string): string {
  const snapshot = JSON.parse(text) as Snapshot;
  const value = snapshot.value as Record<string, unknown>;
  const foreign = "state" in value ? { ...value, state: { shape: "unknown" } } : value;
  return JSON.stringify({ ...snapshot, reducerVersion: 99, value: foreign });
}

function foreignSnapshots(medium: MemoryMedium): void {
  for (const [name, text] of medium.snapshots) medium.snapshots.set(name, asOfAnotherReducer(text));
}

/** Events up to `before` are gone. */
function trimmedStorage(medium: MemoryMedium, before: number): Storage {
  const storage = openMemoryStorage(medium);
  const journal = Object.create(storage.journal, {
    sequence: { get: () => storage.journal.sequence },
    epoch: { get: () => storage.journal.epoch },
  }) as Journal;
  for (const method of ["append", "writeSnapshot", "readSnapshot", "trim", "close"] as const) {
    Object.defineProperty(journal, method, { value: storage.journal[method].bind(storage.journal) });
  }
  Object.defineProperty(journal, "read", { value: (after: number) => storage.journal.read(Math.max(after, before)) });
  return { ...storage, journal };
}

/** As `restart`, but everything that the registry's snapshot covers was trimmed. */
async function restartTrimmed(federation: ClockedFederation): Promise<void> {
  const { medium, clock } = federation;
  const { sequence } = JSON.parse(medium.snapshots.get("registry") ?? "{}") as Snapshot;
  federation.storage = trimmedStorage(medium, sequence);
  federation.service = await openTestCoordinator(federation.storage, { clock, randomBytes: countingBytes(9) });
}

async function workAll(federation: ClockedFederation): Promise<RoundPlan[]> {
  const plans = await federation.plans(...names);
  for (const [index, name] of names.entries()) await federation.client(name).work(plans[index]!);
  await federation.clock.advance(10);
  return plans;
}

async function adaptersOf(federation: ClockedFederation): Promise<string[]> {
  return (await federation.detail()).rounds.map(({ adapterBlobId }) => adapterBlobId);
}

async function undisturbed(): Promise<string[]> {
  const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
  await workAll(federation);
  await workAll(federation);
  return adaptersOf(federation);
}

describe("a snapshot of another reducer, whose journal was trimmed", () => {
  test("reopens the round that was going on, from the last commit", async () => {
    const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
    const [first] = await workAll(federation);
    const ann = federation.client("ann");
    const receipt = (await federation.service.clients.ticket(ann.id, first!.planId)).accepted;
    const [stale] = await federation.plans(...names);
    await ann.work(stale!);
    const before = await federation.detail();
    await federation.service.close();
    foreignSnapshots(federation.medium);

    await restartTrimmed(federation);
    const after = await federation.detail();
    expect(after.rounds).toEqual(before.rounds);
    expect(after.spec).toEqual(before.spec);
    expect(after.summary).toMatchObject({ state: "running", phase: "selecting", round: 2 });
    // What was committed is known still; what was not has to be done again.
    expect((await federation.service.clients.ticket(ann.id, first!.planId)).accepted).toEqual(receipt);
    await expect(federation.service.clients.ticket(ann.id, stale!.planId)).rejects.toMatchObject({
      code: "plan-unknown",
    });
    await workAll(federation);
    expect((await federation.detail()).summary.state).toBe("completed");
    expect(await adaptersOf(federation)).toEqual(await undisturbed());
  });

  test("reopens a round of which only the end is told after it", async () => {
    const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
    await workAll(federation);
    const plans = await federation.plans(...names);
    await federation.service.close();
    const midRound = new Map(federation.medium.snapshots);
    await federation.restart();
    await federation.client("ann").work(plans[0]!);
    for (const [name, text] of midRound) federation.medium.snapshots.set(name, asOfAnotherReducer(text));
    // The process ends between the round's close and its commit, as the journal alone tells.
    const { medium, runId } = federation;
    const at = medium.events.length + 1;
    const event = { type: "round-closed", runId, round: 2, atMs: 1, reason: "deadline" };
    medium.events.push({ sequence: at, epoch: medium.epoch, event });

    await restartTrimmed(federation);
    expect((await federation.detail()).summary).toMatchObject({ state: "running", phase: "selecting", round: 2 });
    await workAll(federation);
    expect(await adaptersOf(federation)).toEqual(await undisturbed());
  });

  test("counts the commit that came after it", async () => {
    const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
    await workAll(federation);
    const [stale] = await federation.plans("ann");
    await federation.service.close();
    const midRound = new Map(federation.medium.snapshots);
    await federation.restart();
    const plans = await federation.plans(...names);
    expect(plans[0]!.planId).toBe(stale!.planId);
    for (const [index, name] of names.entries()) await federation.client(name).work(plans[index]!);
    await federation.clock.advance(10);
    const before = await federation.detail();
    for (const [name, text] of midRound) federation.medium.snapshots.set(name, asOfAnotherReducer(text));

    await restartTrimmed(federation);
    const after = await federation.detail();
    expect(after.summary).toEqual(before.summary);
    expect(after.globalAdapter).toEqual(before.globalAdapter);
    const [ended] = await federation.polls(["ann"]);
    expect(ended).toMatchObject({ kind: "ended", state: "completed" });
    // Those of the round before: the plans of this one were in the state that nobody can read.
    expect(ended).toMatchObject({ instructions: { id: plans[0]!.instructions } });
  });

  test("begins an evaluation again that was going on", async () => {
    const federation = await new ClockedFederation().start(names, { rounds: 1 });
    await workAll(federation);
    const [evaluate] = await federation.plans(...names);
    expect(evaluate!.kind).toBe("evaluate");
    await federation.service.close();
    foreignSnapshots(federation.medium);

    await restartTrimmed(federation);
    for (const name of names) await federation.enrol(name);
    await federation.clock.advance(10);
    const again = await federation.plans(...names);
    expect(again[0]).toMatchObject({ kind: "evaluate", round: 1 });
    for (const [index, name] of names.entries()) await federation.client(name).work(again[index]!);
    await federation.clock.advance(10);
    const detail = await federation.detail();
    expect(detail.summary.state).toBe("completed");
    expect(detail.rounds[0]!.evaluation).toMatchObject({ count: 20, accuracy: 0.8 });
  });

  test("is replaced before the run goes on, so that what is accepted then outlives the next start", async () => {
    const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
    await workAll(federation);
    await federation.plans(...names);
    await federation.service.close();
    foreignSnapshots(federation.medium);
    await restartTrimmed(federation);
    const [plan] = await federation.plans(...names);
    const receipt = await federation.client("ann").work(plan!);

    await restartTrimmed(federation);
    const ticket = await federation.service.clients.ticket(federation.client("ann").id, plan!.planId);
    expect(ticket.accepted).toEqual(receipt);
  });

  test.each(["stopped", "failed", "completed"] as const)("leaves a %s run as it ended", async (state) => {
    const federation = await new ClockedFederation().start(names, {
      rounds: state === "completed" ? 1 : 2,
      evaluation: { every: 0 },
      deadlines: { roundMs: 60_000 },
    });
    await workAll(federation);
    if (state !== "completed") await federation.plans(...names);
    if (state === "stopped") await federation.service.admin.stopRun(federation.runId, "lunch", "s1");
    if (state === "failed") await federation.clock.advance(60_100);
    const before = await federation.detail();
    expect(before.summary.state).toBe(state);
    await federation.service.close();
    foreignSnapshots(federation.medium);

    await restartTrimmed(federation);
    const { summary, rounds } = await federation.detail();
    expect(summary).toMatchObject({ state, reason: before.summary.reason, round: before.summary.round });
    expect(rounds).toEqual(before.rounds);
    if (state === "completed") return;
    await federation.service.admin.resumeRun(federation.runId, "r1");
    await workAll(federation);
    expect(await adaptersOf(federation)).toEqual(await undisturbed());
  });
});

describe("a snapshot of a reducer that kept no last commit", () => {
  test("is passed over: the run is replayed from its first event", async () => {
    const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
    await workAll(federation);
    const before = await federation.detail();
    await federation.service.close();
    for (const [name, text] of federation.medium.snapshots) {
      if (name === "registry") continue;
      const snapshot = JSON.parse(text) as Snapshot;
      federation.medium.snapshots.set(name, JSON.stringify({ ...snapshot, reducerVersion: 1, value: { old: true } }));
    }
    await federation.restart();
    expect((await federation.detail()).rounds).toEqual(before.rounds);
    await workAll(federation);
    expect(await adaptersOf(federation)).toEqual(await undisturbed());
  });
});
