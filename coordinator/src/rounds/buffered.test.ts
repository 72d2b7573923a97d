import { readSafetensors, toFloat32 } from "@fedlora/core";
import type { RoundPlan, RunSpecInput } from "@fedlora/core";
import { describe, expect, test } from "vitest";

import { ClockedFederation } from "../testing/clocked-federation.js";
import { expectCode } from "../testing/storage-contract.js";

const bName = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_B.weight";
const buffered: Partial<RunSpecInput> = {
  method: { name: "ffa-lora" },
  rounds: 3,
  cohort: { size: 3, quorum: 1 },
  policy: { kind: "buffered", bufferSize: 2, maxStaleness: 2 },
  weighting: { kind: "uniform" },
  evaluation: { every: 0 },
};

async function adapterOf(federation: ClockedFederation, round: number): Promise<Float32Array> {
  const { rounds } = await federation.detail();
  const id = rounds.find((each) => each.round === round)!.adapterBlobId;
  const { blobs } = federation.storage;
  const { tensors } = readSafetensors(await blobs.read(id, 0, await blobs.size(id)));
  return toFloat32(tensors.get(bName)!);
}

/** The change that a client sends for a plan. */
async function changeOf(federation: ClockedFederation, name: string, plan: RoundPlan): Promise<Float32Array> {
  const { tensors } = readSafetensors(await federation.client(name).update(plan));
  return toFloat32(tensors.get(bName)!);
}

describe("a buffered run", () => {
  test("G36: ends a round with its buffer, and takes a late update at 1 / sqrt(1 + staleness) in the next", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob", "cyd"], buffered);
    const [ann, bob, cyd] = await federation.plans("ann", "bob", "cyd");
    await federation.client("ann").work(ann!);
    await federation.client("bob").work(bob!);
    // Who is done gets the next plan at once: Ann's was made before the round ended, Bob's after.
    const [ann2, bob2] = await federation.plans("ann", "bob");
    expect([ann2!.round, bob2!.round, cyd!.round]).toEqual([1, 2, 1]);

    const stale = await changeOf(federation, "cyd", cyd!);
    const fresh = await changeOf(federation, "bob", bob2!);
    await federation.client("cyd").work(cyd!);
    await federation.client("bob").work(bob2!);
    await federation.detail();

    const before = await adapterOf(federation, 1);
    const after = await adapterOf(federation, 2);
    // FedBuff: x += (1 / K) sum of changes / sqrt(1 + staleness).
    after.forEach((value, i) => {
      expect(value).toBeCloseTo(before[i]! + (stale[i]! * Math.SQRT1_2 + fresh[i]!) / 2, 5);
    });
  });

  test("G36: with nothing stale and a buffer of the cohort's size gives the synchronous mean, bit by bit", async () => {
    const adapters = async (policy: RunSpecInput["policy"]): Promise<Float32Array> => {
      const changes = {
        ...buffered,
        rounds: 1,
        cohort: { size: 2 },
        policy,
        weighting: { kind: "by-examples" },
      } as const;
      const federation = await new ClockedFederation().start(["ann", "robert"], changes);
      const plans = await federation.plans("ann", "robert");
      await federation.client("ann").work(plans[0]!);
      await federation.client("robert").work(plans[1]!);
      await federation.detail();
      return adapterOf(federation, 1);
    };
    const synchronous = await adapters({ kind: "synchronous" });

    expect(await adapters({ kind: "buffered", bufferSize: 2, maxStaleness: 2 })).toEqual(synchronous);
    expect(Math.hypot(...synchronous)).toBeGreaterThan(0.1);
  });

  test("keeps an update that comes between two rounds for the next one", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob", "cyd"], {
      ...buffered,
      evaluation: { every: 1 },
      deadlines: { evaluationMs: 5000 },
    });
    const [ann, bob, cyd] = await federation.plans("ann", "bob", "cyd");
    await federation.client("ann").work(ann!);
    await federation.client("bob").work(bob!);
    await federation.plans("bob");
    expect((await federation.service.admin.getRun(federation.runId)).summary.phase).toBe("evaluating");

    const receipt = await federation.client("cyd").work(cyd!);
    const again = await federation.client("cyd").work(cyd!);
    expect(again).toEqual(receipt);

    await federation.clock.advance(5001);
    const [bob2] = await federation.plans("bob");
    await federation.client("bob").work(bob2!);
    await federation.detail();
    expect((await federation.detail()).rounds.map(({ accepted }) => accepted)).toEqual([2, 2]);
  });

  test("refuses an update that is staler than the policy allows", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob", "cyd"], {
      ...buffered,
      policy: { kind: "buffered", bufferSize: 2, maxStaleness: 0 },
    });
    const [ann, bob, cyd] = await federation.plans("ann", "bob", "cyd");
    const late = await federation.client("cyd").update(cyd!);
    await federation.client("ann").work(ann!);
    await federation.client("bob").work(bob!);
    await federation.detail();

    await expectCode("round-closed", federation.client("cyd").deliver(cyd!, late));
  });

  test("goes on after kill -9 with the plans that were out, to the same bytes", async () => {
    const run = async (restart: boolean): Promise<number[][]> => {
      const federation = await new ClockedFederation().start(["ann", "bob", "cyd"], buffered);
      const [ann, bob, cyd] = await federation.plans("ann", "bob", "cyd");
      await federation.client("ann").work(ann!);
      await federation.client("bob").work(bob!);
      await federation.detail();
      if (restart) await federation.restart();
      await federation.client("cyd").work(cyd!);
      const [ann2] = await federation.plans("ann");
      await federation.client("ann").work(ann2!);
      expect(ann2!.round).toBe(1);
      await federation.detail();
      return [[...(await adapterOf(federation, 1))], [...(await adapterOf(federation, 2))]];
    };

    expect(await run(true)).toEqual(await run(false));
  });

  test("is refused for a method that cannot use stale updates", async () => {
    const started = new ClockedFederation().start(["ann"], { ...buffered, method: { name: "fedavg" } });

    await expectCode("spec-combination-refused", started);
  });
});
