import { FedLoraError } from "@fedlora/core";
import type { RoundPlan } from "@fedlora/core";
import { describe, expect, test } from "vitest";

import type { AggregationRunner } from "../aggregate/aggregation.js";
import type { Journal } from "../storage/storage.js";
import { openMemoryStorage } from "../storage/memory-storage.js";
import { ClockedFederation } from "../testing/clocked-federation.js";
import { gatedAggregation } from "../testing/gated-aggregation.js";
import { countingBytes, openTestCoordinator } from "../testing/federation.js";

const names = ["ann", "bob"] as const;
const draining = { kind: "wait", reason: "draining" };

async function work(federation: ClockedFederation, plans: readonly RoundPlan[]): Promise<void> {
  for (const [index, name] of names.entries()) await federation.client(name).work(plans[index]!);
  await federation.clock.advance(10);
}

async function adaptersOf(federation: ClockedFederation): Promise<string[]> {
  return (await federation.detail()).rounds.map(({ adapterBlobId }) => adapterBlobId);
}

async function undisturbed(): Promise<string[]> {
  const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
  for (let round = 0; round < 2; round++) await work(federation, await federation.plans(...names));
  return adaptersOf(federation);
}

/** Until the aggregation is at work. */
async function untilAggregating(federation: ClockedFederation): Promise<void> {
  for (;;) {
    const { summary } = await federation.service.admin.getRun(federation.runId);
    if (summary.phase === "aggregating") return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

describe("a draining coordinator", () => {
  test("takes what is out, issues nothing more and says so; the next one goes on", async () => {
    const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
    const plans = await federation.plans(...names);
    await federation.service.drain(0);
    const eve = await federation.enrol("eve");
    expect(await eve.poll(60_000)).toMatchObject(draining);
    expect(await federation.client("ann").poll(60_000)).toMatchObject({
      kind: "plan",
      plan: { planId: plans[0]!.planId },
    });

    await work(federation, plans);
    const { summary, rounds } = await federation.detail();
    expect(rounds).toHaveLength(1);
    expect(summary).toMatchObject({ state: "running", phase: "selecting", round: 2 });
    expect(summary.reason).toBe("the coordinator is draining; the run goes on after its restart");
    expect(await federation.polls(names)).toMatchObject([draining, draining]);
    // The wait for clients does not end the run while none of them is given a plan.
    await federation.clock.advance(700_000);
    expect((await federation.detail()).summary).toMatchObject({ state: "running", phase: "selecting" });
    await federation.service.close();

    await federation.restart();
    await work(federation, await federation.plans(...names));
    expect(await adaptersOf(federation)).toEqual(await undisturbed());
  });

  test("gives a free slot to nobody", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"]);
    const [plan] = await federation.plans(...names);
    const eve = await federation.enrol("eve");
    expect(await eve.poll(0)).toMatchObject({ kind: "wait", reason: "round-full" });
    await federation.service.drain(0);
    await federation.service.clients.decline(federation.client("ann").id, plan!.planId, "policy-declined", "no");
    await federation.clock.advance(100);
    expect(await eve.poll(0)).toMatchObject(draining);
    expect((await federation.kinds()).filter((kind) => kind === "slot-refilled")).toEqual([]);
  });

  test("waits for an aggregation on its way, and leaves the evaluation to the next one", async () => {
    const federation = await new ClockedFederation().start(names, { rounds: 1 });
    const { aggregation, open } = gatedAggregation();
    await federation.restart({ aggregation });
    await work(federation, await federation.plans(...names));
    await untilAggregating(federation);
    expect((await federation.service.admin.getRun(federation.runId)).summary.reason).toBe("aggregating 2 updates");
    let isDrained = false;
    const drain = federation.service.drain(60_000).then(() => (isDrained = true));
    await federation.clock.advance(10_000);
    expect(isDrained).toBe(false);
    open();
    await drain;
    const { summary, rounds } = await federation.service.admin.getRun(federation.runId);
    expect(rounds).toHaveLength(1);
    expect(summary).toMatchObject({ state: "running", phase: "committed" });
    expect(summary.reason).toMatch(/^the coordinator is draining/);
    expect(await federation.polls(names)).toMatchObject([draining, draining]);
    await federation.service.close();

    await federation.restart();
    const polls = names.map((name) => federation.client(name).poll(1000));
    await federation.clock.advance(1000);
    expect(await Promise.all(polls)).toMatchObject(names.map(() => ({ kind: "plan", plan: { kind: "evaluate" } })));
  });

  test("does not wait for an aggregation beyond its time; the next one does it again", async () => {
    const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
    await federation.restart({ aggregation: gatedAggregation().aggregation });
    await work(federation, await federation.plans(...names));
    await untilAggregating(federation);
    const drain = federation.service.drain(5000);
    await federation.clock.advance(5000);
    await drain;
    await federation.service.close();

    await federation.restart();
    await federation.detail();
    await work(federation, await federation.plans(...names));
    expect(await adaptersOf(federation)).toEqual(await undisturbed());
  });
});

describe("a run whose failure cannot be journaled", () => {
  test("says so, and fails as soon as it can", async () => {
    const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 } });
    const storage = openMemoryStorage(federation.medium);
    const disk = { isBroken: false };
    const journal = Object.create(storage.journal, {
      sequence: { get: () => storage.journal.sequence },
      epoch: { get: () => storage.journal.epoch },
      append: {
        value: (...args: Parameters<Journal["append"]>) =>
          disk.isBroken
            ? Promise.reject(new FedLoraError("unavailable", "the disk does not answer"))
            : storage.journal.append(...args),
      },
    }) as Journal;
    for (const method of ["read", "writeSnapshot", "readSnapshot", "trim", "close"] as const) {
      Object.defineProperty(journal, method, { value: storage.journal[method].bind(storage.journal) });
    }
    const aggregation: AggregationRunner = {
      run: () => {
        disk.isBroken = true;
        return Promise.reject(new FedLoraError("internal", "the worker is gone"));
      },
      close: () => Promise.resolve(),
    };
    federation.storage = { ...storage, journal };
    const { clock } = federation;
    const options = { clock, randomBytes: countingBytes(9), aggregation };
    federation.service = await openTestCoordinator(federation.storage, options);
    await work(federation, await federation.plans(...names));
    const summaryOf = async (): Promise<object> => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return (await federation.service.admin.getRun(federation.runId)).summary;
    };
    expect(await summaryOf()).toMatchObject({ state: "running", reason: "the worker is gone; trying again" });
    await clock.advance(10_000);
    expect(await summaryOf()).toMatchObject({ state: "running", reason: "the worker is gone; trying again" });
    aggregation.run = () => {
      disk.isBroken = false;
      return Promise.reject(new FedLoraError("internal", "the worker is gone"));
    };
    await clock.advance(10_000);
    expect(await summaryOf()).toMatchObject({ state: "failed", reason: "the worker is gone" });
  });
});
