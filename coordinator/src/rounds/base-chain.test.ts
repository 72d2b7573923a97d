import { baseDeltaKeys, readSafetensors, toFloat32 } from "@fedlora/core";
import type { BlobId, RoundPlan, RunSpecInput } from "@fedlora/core";
import { describe, expect, test } from "vitest";

import type { AggregationRunner } from "../aggregate/aggregation.js";
import { ClockedFederation } from "../testing/clocked-federation.js";
import { inlineAggregation, testManifest } from "../testing/federation.js";

const names = ["ann", "bob"] as const;

async function open(changes: Partial<RunSpecInput>): Promise<ClockedFederation> {
  const method = { name: "fedex-lora" };
  return new ClockedFederation().start(names, { method, evaluation: { every: 0 }, ...changes });
}

/** One round, training or evaluation; what both were given. */
async function work(federation: ClockedFederation): Promise<readonly RoundPlan[]> {
  const plans = await federation.plans(...names);
  for (const [index, name] of names.entries()) await federation.client(name).work(plans[index]!);
  await federation.clock.advance(10);
  return plans;
}

async function workRounds(federation: ClockedFederation, rounds: number): Promise<readonly RoundPlan[]> {
  const plans: RoundPlan[] = [];
  for (let round = 0; round < rounds; round++) plans.push((await work(federation))[0]!);
  await federation.detail();
  return plans;
}

/** What a chain adds to each module, [dOut, dIn], in float64. */
async function sumOf({ storage }: ClockedFederation, chain: readonly { readonly blob: BlobId }[]): Promise<number[][]> {
  const sums = testManifest.modules.map(({ dIn, dOut }) => new Array<number>(dIn * dOut).fill(0));
  for (const { blob } of chain) {
    const { tensors } = readSafetensors(await storage.blobs.read(blob, 0, await storage.blobs.size(blob)));
    for (const [index, { name, dIn, dOut }] of testManifest.modules.entries()) {
      const keys = baseDeltaKeys(name);
      const [a, b, dense] = [keys.a, keys.b, keys.dense].map((key) => tensors.get(key));
      const rank = a?.shape[0] ?? 0;
      for (let i = 0; i < dOut; i++) {
        for (let j = 0; j < dIn; j++) {
          let value = dense === undefined ? 0 : toFloat32(dense)[i * dIn + j]!;
          for (let k = 0; k < rank; k++) value += toFloat32(b!)[i * rank + k]! * toFloat32(a!)[k * dIn + j]!;
          sums[index]![i * dIn + j]! += value;
        }
      }
    }
  }
  return sums;
}

const chainOf = (plan: RoundPlan) => plan.baseDeltas!;
const idsOf = (plan: RoundPlan): BlobId[] => chainOf(plan).map(({ blob }) => blob);
const add = (into: number[][], values: number[][]): number[][] =>
  into.map((sums, index) => sums.map((sum, at) => sum + values[index]![at]!));

describe("a run that changes its base weights in more rounds than a plan can name", () => {
  test.each([
    ["matrices", { name: "fedex-lora" }],
    ["factors", { name: "flora", options: { dense: false } }],
  ])(
    "joins them into %s: every chain is short, without a gap, and adds up to all changes",
    async (_form, method) => {
      const federation = await open({ rounds: 140, method });
      const lengths: number[] = [];
      let total = await sumOf(federation, []);
      for (let round = 1; round <= 140; round++) {
        const plans = await work(federation);
        // Whoever asks gets the same chain, whatever it had before.
        expect(idsOf(plans[0]!)).toEqual(idsOf(plans[1]!));
        const chain = chainOf(plans[0]!);
        lengths.push(chain.length);
        const reached = chain.map(({ toVersion }) => toVersion);
        expect(chain.map(({ fromVersion }) => fromVersion)).toEqual([0, ...reached].slice(0, -1));
        expect(reached.at(-1) ?? 0).toBe(round - 1);
        total = add(total, await sumOf(federation, chain.slice(-1)));
      }
      expect(Math.max(...lengths)).toBe(64);
      expect(lengths.filter((length, index) => length < (lengths[index - 1] ?? 0))).toHaveLength(2);
      expect((await federation.detail()).summary.state).toBe("completed");

      const { baseDeltas } = await federation.service.admin.exportAdapter(federation.runId, 0, "merged");
      const chain = baseDeltas.map(({ blob }) => ({ blob: blob.id }));
      total = add(total, await sumOf(federation, chain.slice(-1)));
      const joined = await sumOf(federation, chain);
      for (const [index, sums] of joined.entries()) {
        for (const [at, sum] of sums.entries()) expect(sum).toBeCloseTo(total[index]![at]!, 4);
      }
      expect(Math.max(...joined.flat().map(Math.abs))).toBeGreaterThan(2);
      await federation.service.close();
    },
    60_000,
  );

  test("keeps the best round's chain, and no change that was joined otherwise", async () => {
    // The first evaluation is never surpassed.
    const federation = await open({ rounds: 70, evaluation: { every: 10 } });
    const links: BlobId[] = [];
    const exported = (round: number) => federation.service.admin.exportAdapter(federation.runId, round, "merged");
    while (links.length < 69) {
      const [plan] = await work(federation);
      if (plan!.kind === "train" && chainOf(plan!).length > 0) links.push(idsOf(plan!).at(-1)!);
    }
    await work(federation);
    const { summary, bestRound } = await federation.detail();
    expect([summary.state, bestRound]).toEqual(["completed", 10]);

    const best = (await exported(0)).baseDeltas.map(({ blob }) => blob.id);
    expect(best).toEqual(links.slice(0, 10));
    expect((await exported(70)).baseDeltas.at(-1)).toMatchObject({ fromVersion: 69, toVersion: 70 });
    expect((await exported(7)).baseDeltas.at(-1)).toMatchObject({ fromVersion: 6, toVersion: 7 });
    await expect(exported(30)).rejects.toMatchObject({ code: "export-refused", details: { round: "30" } });
    const kept = await Promise.all(links.map((id) => federation.storage.blobs.has(id)));
    expect(kept.map((isKept, index) => (isKept ? index + 1 : 0)).filter(Boolean)).toEqual(
      [...Array(10).keys(), ...[64, 65, 66, 67, 68]].map((index) => index + 1),
    );
    // Whoever took part is told what it may keep.
    const ended = await federation.client("ann").poll(0, federation.runId);
    expect(ended).toMatchObject({ kind: "ended", baseDeltas: { length: 10 } });
    await federation.service.close();
  }, 60_000);

  test("comes to the same bits when it dies between a join and its commit, and goes on from a snapshot", async () => {
    const undisturbed = await open({ rounds: 70 });
    const expected = (await workRounds(undisturbed, 70)).map(idsOf);
    const federation = await open({ rounds: 70 });
    const actual = (await workRounds(federation, 64)).map(idsOf);
    const joins: string[] = [];
    const stuck: AggregationRunner = {
      run: async (job, signal) => {
        await inlineAggregation.run(job, signal);
        joins.push(job.join!.path);
        return new Promise(() => undefined);
      },
      close: () => Promise.resolve(),
    };
    await federation.restart({ aggregation: stuck });
    const plans = await federation.plans(...names);
    actual.push(idsOf(plans[0]!));
    for (const [index, name] of names.entries()) await federation.client(name).work(plans[index]!);
    while (joins.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));

    await federation.restart();
    actual.push(...(await workRounds(federation, 5)).map(idsOf));

    // Later changes are the same, in other factors: they are ordered by the plans' ids, which are new after a restart.
    expect(actual.slice(0, 66)).toEqual(expected.slice(0, 66));
    expect(actual.map(({ length }) => length).slice(-6)).toEqual([64, 2, 3, 4, 5, 6]);
    const adapters = async (of: ClockedFederation) => (await of.detail()).rounds.map((round) => round.adapterBlobId);
    expect(await adapters(federation)).toEqual(await adapters(undisturbed));
    await federation.service.close();
    await undisturbed.service.close();
  }, 60_000);

  test("joins nothing where every change fits into a plan", async () => {
    const federation = await open({ rounds: 64 });
    await workRounds(federation, 64);

    const { baseDeltas } = await federation.service.admin.exportAdapter(federation.runId, 0, "merged");
    expect(baseDeltas).toHaveLength(64);
    for await (const { fact } of federation.service.admin.audit(federation.runId, 0)) {
      expect(fact).not.toHaveProperty("joinedBase");
    }
    await federation.service.close();
  }, 60_000);
});
