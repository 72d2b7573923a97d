import { createAccountant, readSafetensors, toFloat32 } from "@fedlora/core";
import type { BlobId, PlanInstructions, RoundPlan, RunSpecInput } from "@fedlora/core";
import { describe, expect, test } from "vitest";

import type { PrivacyReport } from "../service.js";
import { ClockedFederation } from "../testing/clocked-federation.js";
import { countingBytes, testSpec } from "../testing/federation.js";
import { expectCode } from "../testing/storage-contract.js";

const rdp = { delta: 1e-3, clipNorm: 0.5, accountant: "rdp" } as const;
/** Everybody takes part in every round. */
const everyone: RunSpecInput["privacy"] = { mode: "client", ...rdp, noiseMultiplier: 1, population: 2 };
const base: Partial<RunSpecInput> = { cohort: { size: 2 }, privacy: everyone };

async function workAll(federation: ClockedFederation, names: readonly string[]): Promise<RoundPlan[]> {
  const plans = await federation.plans(...names);
  for (const [index, name] of names.entries()) await federation.client(name).work(plans[index]!);
  await federation.clock.advance(10);
  await federation.detail();
  return plans;
}

async function instructionsOf({ storage }: ClockedFederation, plan: RoundPlan): Promise<PlanInstructions> {
  const { blobs } = storage;
  const bytes = await blobs.read(plan.instructions, 0, await blobs.size(plan.instructions));
  return JSON.parse(Buffer.from(bytes).toString("utf8")) as PlanInstructions;
}

async function report(federation: ClockedFederation): Promise<Exclude<PrivacyReport, { mode: "none" }>> {
  const answer = await federation.service.admin.privacy(federation.runId);
  if (answer.mode === "none") throw new Error("the run is not private");
  return answer;
}

const facts = async (federation: ClockedFederation): Promise<readonly Readonly<Record<string, unknown>>[]> => {
  const all: Readonly<Record<string, unknown>>[] = [];
  for await (const { fact } of federation.service.admin.audit(federation.runId, 0)) all.push(fact);
  return all;
};

describe("a run under client-level privacy", () => {
  test("tells clients what to clip to, releases noise over what is expected, and accounts for it", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], base);
    const [plan] = await workAll(federation, ["ann", "bob"]);
    expect((await instructionsOf(federation, plan!)).privacy).toEqual({
      mode: "client",
      noiseMultiplier: 1,
      clipNorm: 0.5,
      delta: 1e-3,
    });
    const detail = await federation.detail();
    expect(detail.rounds).toHaveLength(1);
    expect(detail.rounds[0]).toMatchObject({ accepted: 2, trainLoss: undefined, evaluation: undefined });
    expect(detail.rounds[0]!.methodMetrics).not.toHaveProperty("contributors");

    const events = [
      { mechanism: { kind: "sampled-gaussian", noiseMultiplier: 1, samplingRate: 1 } as const, count: 1 },
    ];
    const { account, rounds } = await report(federation);
    const { epsilon } = createAccountant("rdp").epsilon(events, 1e-3);
    expect(account).toMatchObject({ epsilonSettled: epsilon, noiseMultiplier: 1, clipNorm: 0.5, samplingRate: 1 });
    expect(rounds).toEqual([{ round: 1, epsilon, clipNorm: 0.5, unclippedShare: undefined }]);
    expect(epsilon).toBeGreaterThan(3);
  });

  test("keeps nothing of what clients measured, in no journal, event or answer", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { ...base, rounds: 1 });
    await workAll(federation, ["ann", "bob"]);
    const accepted = (await facts(federation)).filter(({ type }) => type === "update-accepted");
    expect(accepted).toHaveLength(2);
    for (const fact of accepted) {
      expect(fact).toMatchObject({ updateNorm: null, metrics: { numExamples: 1, numSteps: 0, trainMs: 0 } });
      expect(fact["metrics"]).not.toHaveProperty("trainLoss");
    }
    expect(await federation.kinds()).not.toContain("evaluation-started");
    expect((await federation.detail()).summary.state).toBe("completed");
  });

  test("draws one key, names it in the journal without its bytes, and erases it with the commit", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { ...base, rounds: 1 });
    const { medium } = federation;
    const kept: string[] = [];
    const put = medium.secrets.set.bind(medium.secrets);
    medium.secrets.set = (name, bytes) => {
      kept.push(Buffer.from(bytes).toString("hex"));
      return put(name, bytes);
    };
    await workAll(federation, ["ann", "bob"]);
    await federation.clock.advance(10);
    expect(kept).toHaveLength(1);
    expect(medium.secrets.size).toBe(0);
    expect((await federation.kinds()).filter((kind) => kind === "noise-key-drawn")).toHaveLength(1);
    expect(JSON.stringify([medium.events, [...medium.snapshots.values()]])).not.toContain(kept[0]);
  });

  test("draws each round's cohort by coins, empty ones too, and never fills a slot again", async () => {
    const names = Array.from({ length: 12 }, (_, i) => `client-${i}`);
    const federation = new ClockedFederation();
    await federation.start(names, {
      rounds: 60,
      cohort: { size: 3 },
      privacy: { mode: "client", ...rdp, noiseMultiplier: 5, population: 12 },
    });
    await federation.restart({ testSecrets: countingBytes(5) });
    for (const name of names) await federation.client(name).enrol();
    for (let round = 0; round < 400; round++) {
      const answers = await federation.polls(names);
      for (const [index, answer] of answers.entries()) {
        if (answer.kind !== "plan") continue;
        const client = federation.client(names[index]!);
        if (index % 4 === 3)
          await federation.service.clients.decline(client.id, answer.plan.planId, "policy-declined", "");
        else await client.work(answer.plan);
      }
      await federation.clock.advance(10);
      if ((await federation.detail()).summary.state !== "running") break;
    }
    const { rounds, summary } = await federation.detail();
    expect([summary.state, rounds.length]).toEqual(["completed", 60]);
    // 720 coins of 1/4: 180 on average, a deviation of 11.6; five of them either side.
    const planned = rounds.reduce((sum, round) => sum + round.planned, 0);
    expect(planned).toBeGreaterThan(122);
    expect(planned).toBeLessThan(238);
    const sizes = new Set(rounds.map((round) => round.planned));
    expect(sizes.size).toBeGreaterThan(4);
    expect(sizes).toContain(0);
    expect(await federation.kinds()).not.toContain("slot-refilled");
    // Rounds that nobody was in, or in which all declined, released noise.
    const adapters = new Set(rounds.map(({ adapterBlobId }) => adapterBlobId));
    expect(adapters.size).toBe(60);
    const { account } = await report(federation);
    expect(account.events).toEqual([
      { mechanism: { kind: "sampled-gaussian", noiseMultiplier: 5, samplingRate: 0.25 }, count: 60 },
    ]);
  });

  test("begins no round while fewer clients are there than its rate is for", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      cohort: { size: 1 },
      deadlines: { enrolMs: 5000 },
      privacy: { mode: "client", ...rdp, noiseMultiplier: 1, population: 3 },
    });
    for (let i = 0; i < 6; i++) await federation.polls(["ann", "bob"], 1000);
    const { summary } = await federation.detail();
    expect(summary).toMatchObject({ state: "failed" });
    expect(summary.reason).toContain("needs 3 clients, at least 3; 2 were there");
    expect(await federation.kinds()).not.toContain("round-started");
  });

  // Ann trains on 13 examples.
  test.each<[RunSpecInput["weighting"], number]>([
    [undefined, 1 / 2],
    [{ kind: "by-examples", maxExamples: 26 }, 1 / 4],
    [{ kind: "by-examples", maxExamples: 10 }, 1 / 2],
  ])("closes at the deadline with what there is, and divides by what was expected (%o)", async (weighting, share) => {
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      ...base,
      rounds: 1,
      deadlines: { roundMs: 1000 },
      ...(weighting === undefined ? {} : { weighting }),
      privacy: { mode: "client", ...rdp, noiseMultiplier: 1e-6, clipNorm: 10, population: 2 },
    });
    const [plan] = await federation.plans("ann", "bob");
    const bytes = await federation.client("ann").update(plan!);
    await federation.client("ann").deliver(plan!, bytes);
    await federation.clock.advance(1100);
    const detail = await federation.detail();
    expect(detail.rounds).toMatchObject([{ planned: 2, accepted: 1, dropouts: 1 }]);
    const { blobs } = federation.storage;
    const read = async (id: BlobId): Promise<ReturnType<typeof readSafetensors>["tensors"]> =>
      readSafetensors(await blobs.read(id, 0, await blobs.size(id))).tensors;
    const before = await read(plan!.globalAdapter);
    const after = await read(detail.rounds[0]!.adapterBlobId);
    for (const [name, tensor] of readSafetensors(bytes).tensors) {
      const from = toFloat32(before.get(name)!);
      const to = toFloat32(after.get(name)!);
      for (const [i, x] of toFloat32(tensor).entries()) expect(to[i]).toBeCloseTo(from[i]! + x * share, 3);
    }
  });

  test("adapts its clip norm to the share of updates that it left alone", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      cohort: { size: 2 },
      privacy: {
        mode: "client",
        ...rdp,
        noiseMultiplier: 0.5,
        population: 2,
        clipping: { kind: "adaptive", countNoise: 1, quantile: 0.9, learningRate: 0.3 },
      },
    });
    const [plan] = await workAll(federation, ["ann", "bob"]);
    // Clients leave updates alone, so that the coordinator sees which of them it clips.
    expect((await instructionsOf(federation, plan!)).privacy).toMatchObject({ clipNorm: 512, noiseMultiplier: 0.5 });
    await workAll(federation, ["ann", "bob"]);
    const { rounds, account } = await report(federation);
    const [first, second] = rounds;
    expect(first).toMatchObject({ clipNorm: 0.5 });
    expect(second!.clipNorm).toBeCloseTo(0.5 * Math.exp(-0.3 * (first!.unclippedShare! - 0.9)), 12);
    expect(account.clipNorm).toBeCloseTo(second!.clipNorm * Math.exp(-0.3 * (second!.unclippedShare! - 0.9)), 12);
    // What is accounted for is both releases together.
    expect(account.events).toEqual([
      { mechanism: { kind: "sampled-gaussian", noiseMultiplier: 0.5, samplingRate: 1 }, count: 2 },
    ]);
  });
});

describe("a budget", () => {
  const epsilonOf = (rounds: number, noiseMultiplier = 1): number =>
    createAccountant("rdp").epsilon([{ mechanism: { kind: "gaussian", noiseMultiplier }, count: rounds }], rdp.delta)
      .epsilon;

  test("ends the run before the round that it could not pay for, and says what is spent and left", async () => {
    const epsilon = (epsilonOf(2) + epsilonOf(3)) / 2;
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      ...base,
      rounds: 9,
      privacy: { mode: "client", ...rdp, noiseMultiplier: 1, epsilon, population: 2 },
    });
    for (let round = 1; round <= 2; round++) await workAll(federation, ["ann", "bob"]);
    const { summary, rounds } = await federation.detail();
    expect([summary.state, rounds.length]).toEqual(["completed", 2]);
    expect(summary.reason).toMatch(/^round 3 was not started: it would bring epsilon to .* spent of .* left, at delta/);
    const { account } = await report(federation);
    expect(account.epsilonSpent).toBe(epsilonOf(2));
    expect(account.epsilonSpent).toBeLessThan(epsilon);
    expect((await facts(federation)).at(-1)).toMatchObject({ type: "run-completed", reason: "budget" });
    // Everybody is told, and keeps what there is.
    expect(await federation.client("ann").next()).toMatchObject({ kind: "ended", state: "completed" });
    await expectCode("run-state", federation.service.admin.resumeRun(federation.runId, "again"));
  });

  test("gives the noise, where that is left out, so that all rounds are paid for and hardly more would be", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      ...base,
      rounds: 3,
      privacy: { mode: "client", ...rdp, epsilon: 6, population: 2 },
    });
    for (let round = 1; round <= 3; round++) await workAll(federation, ["ann", "bob"]);
    const { account } = await report(federation);
    expect(account.isNoiseSolved).toBe(true);
    expect(account.noiseMultiplier).toBeGreaterThan(1);
    expect(account.epsilonSpent).toBeLessThanOrEqual(6);
    expect(account.epsilonSpent).toBeGreaterThan(5.99);
    expect((await federation.detail()).rounds).toHaveLength(3);
  });

  test("counts a round that was begun and never committed, over stop, restart and resumption", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { ...base, rounds: 1 });
    await federation.plans("ann", "bob");
    const { admin } = federation.service;
    expect((await report(federation)).account).toMatchObject({ epsilonSpent: epsilonOf(1), epsilonSettled: 0 });
    await admin.stopRun(federation.runId, "", "stop");
    await federation.restart();
    await federation.service.admin.resumeRun(federation.runId, "resume");
    await workAll(federation, ["ann", "bob"]);
    expect((await report(federation)).account).toMatchObject({
      epsilonSpent: epsilonOf(2),
      epsilonSettled: epsilonOf(2),
    });
    await federation.restart();
    expect((await report(federation)).account.epsilonSpent).toBe(epsilonOf(2));
  });

  test("is not given back by a change of the coordinator's version", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { ...base, rounds: 3 });
    await workAll(federation, ["ann", "bob"]);
    await federation.plans("ann", "bob");
    await federation.service.close();
    for (const [name, text] of federation.medium.snapshots) {
      const { value, ...snapshot } = JSON.parse(text) as { value: object };
      federation.medium.snapshots.set(name, JSON.stringify({ ...snapshot, reducerVersion: 99, value }));
    }
    await federation.restart();
    // The second round begins again, and the one that was cut off stays paid.
    const before = (await report(federation)).account;
    expect(before).toMatchObject({ epsilonSpent: epsilonOf(2), epsilonSettled: epsilonOf(1) });
    await federation.plans("ann", "bob");
    expect((await report(federation)).account.epsilonSpent).toBe(epsilonOf(3));
    expect((await report(federation)).rounds).toHaveLength(1);
  });

  test("of clients that noise what they send is each one's own: who has spent it is not asked again", async () => {
    const epsilon = (epsilonOf(1) + epsilonOf(2)) / 2;
    const federation = await new ClockedFederation().start(["ann", "bob", "eve"], {
      rounds: 9,
      cohort: { size: 2 },
      privacy: { mode: "local", ...rdp, noiseMultiplier: 1, epsilon },
    });
    const names = ["ann", "bob", "eve"];
    const answers = await federation.polls(names);
    const working = names.filter((_, index) => answers[index]!.kind === "plan");
    expect(working).toHaveLength(2);
    const [first] = working;
    const [spare] = names.filter((name) => !working.includes(name));
    // Who declines did not take part, and pays nothing; the slot goes to another.
    const declined = answers[names.indexOf(first!)]!;
    if (declined.kind !== "plan") throw new Error("no plan");
    const { clients } = federation.service;
    await clients.decline(federation.client(first!).id, declined.plan.planId, "policy-declined", "");
    const [instead] = await federation.plans(spare!);
    const { privacy } = await instructionsOf(federation, instead!);
    expect(privacy).toEqual({ mode: "local", noiseMultiplier: 1, clipNorm: 0.5, delta: 1e-3 });
    await federation.client(spare!).work(instead!);
    await workAll(federation, [working[1]!]);
    for (let i = 0; i < 3; i++) await federation.polls(names, 3000);
    const { summary, rounds } = await federation.detail();
    expect([summary.state, rounds.length]).toEqual(["completed", 1]);
    expect(summary.reason).toContain("for 2 of the clients that are there");
    const { account } = await report(federation);
    expect(account.epsilonSpent).toBe(epsilonOf(1));
  });
});

describe("a private run is refused at its creation", () => {
  const create = async (privacy: RunSpecInput["privacy"], more: Partial<RunSpecInput> = {}): Promise<unknown> => {
    const federation = await new ClockedFederation().start([], { rounds: 1 });
    return federation.service.admin.createRun("private", testSpec({ rounds: 2, ...more, privacy }));
  };

  test.each<[string, RunSpecInput["privacy"], string, Partial<RunSpecInput>]>([
    [
      "whose budget does not cover one round",
      { mode: "client", ...rdp, noiseMultiplier: 0.5, epsilon: 1, population: 10 },
      "privacy-budget",
      { cohort: { size: 9 } },
    ],
    [
      "whose adaptive clip norm leaves no noise for the updates",
      { mode: "client", ...rdp, noiseMultiplier: 1, population: 10, clipping: { kind: "adaptive", countNoise: 0.5 } },
      "privacy-invalid",
      {},
    ],
    [
      "whose evaluations alone cost more than the budget",
      { mode: "local", ...rdp, epsilon: 1, metricsNoise: 0.1 },
      "privacy-unbounded",
      {},
    ],
    [
      "whose method sees more than one sum",
      { mode: "client", ...rdp, noiseMultiplier: 1, population: 10 },
      "spec-combination-refused",
      { method: { name: "krum", options: { byzantine: 0 } } },
    ],
  ])("%s", async (_, privacy, code, more) => {
    await expectCode(code as "internal", create(privacy, more));
  });

  test("but for a delta that is too large for its population, which is only warned of", async () => {
    const federation = await new ClockedFederation().start(["ann"], {
      privacy: { mode: "client", ...rdp, delta: 0.2, noiseMultiplier: 1, population: 10 },
    });
    const { account } = await report(federation);
    expect(account.warnings[0]).toMatch(/delta 0.2 is above 1 \/ 10/);
  });
});

test("secrets of a seed are only for tests, and said to be", async () => {
  const warned: string[] = [];
  const logger = { ...console, child: () => logger, warn: (_: object, text: string) => warned.push(text) };
  const federation = await new ClockedFederation().start(["ann", "bob"], base);
  await federation.restart({ testSecrets: countingBytes(3), logger: logger });
  expect(warned.join()).toContain("NOTHING IS PRIVATE");
});
