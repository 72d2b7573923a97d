import type { PlanInstructions, RoundPlan, RunSpecInput } from "@fedlora/core";
import { expect, test } from "vitest";

import type { CapabilityReport } from "../service.js";
import { ClockedFederation } from "../testing/clocked-federation.js";
import { testCapability } from "../testing/federation.js";
import type { IssuedPlan } from "./run-events.js";

const legend: Partial<RunSpecInput> = {
  method: { name: "legend" },
  rankPlan: { kind: "legend", smoothing: 0.5 },
  training: { localEpochs: 1, batchSize: 2 },
  evaluation: { every: 0 },
  rounds: 3,
};

/** A device that takes so long for a layer's backward pass, as the round before said or a probe does. */
function measured(layerMs: number, runId?: string, changes: Partial<CapabilityReport> = {}): CapabilityReport {
  const stepTimes = { forwardMs: 10, layerMs, batchTokens: 256, forwardBytes: 1, layerBytes: 1, runId };
  return { ...testCapability, stepTimes: stepTimes as CapabilityReport["stepTimes"], ...changes };
}

async function start(changes: Partial<RunSpecInput> = {}): Promise<ClockedFederation> {
  const federation = await new ClockedFederation().start(["ann", "bob"], { ...legend, ...changes });
  federation.client("ann").capability = measured(1);
  federation.client("bob").capability = measured(8);
  return federation;
}

async function instructionsOf(federation: ClockedFederation, plan: RoundPlan): Promise<PlanInstructions> {
  const { blobs } = federation.storage;
  const bytes = await blobs.read(plan.instructions, 0, await blobs.size(plan.instructions));
  return JSON.parse(Buffer.from(bytes).toString("utf8")) as PlanInstructions;
}

async function trainedShapes(federation: ClockedFederation, plan: RoundPlan): Promise<Record<string, string>> {
  const { roles } = await instructionsOf(federation, plan);
  const named = roles.filter(({ spec }) => spec.name.includes("lora_A"));
  return Object.fromEntries(
    named.map(({ spec, trained }) => [
      /layer\.\d/.exec(spec.name)![0],
      `${trained ? "trains" : "reads"} ${spec.shape[0]}`,
    ]),
  );
}

async function journaled(federation: ClockedFederation): Promise<Pick<IssuedPlan, "clientId" | "ranks">[][]> {
  const rounds: Pick<IssuedPlan, "clientId" | "ranks">[][] = [];
  for await (const { fact } of federation.service.admin.audit(federation.runId, 0)) {
    if (fact["type"] === "round-started") rounds.push(fact["plans"] as IssuedPlan[]);
  }
  return rounds;
}

async function workAll(federation: ClockedFederation, plans: readonly RoundPlan[]): Promise<void> {
  for (const [index, name] of ["ann", "bob"].entries()) await federation.client(name).work(plans[index]!);
  await federation.clock.advance(10);
  await federation.detail();
}

test("a slow device trains the top layer alone and reads the lower one's adapter; ranks grow towards the output", async () => {
  const federation = await start();
  const [ann, bob] = await federation.plans("ann", "bob");
  expect(await trainedShapes(federation, ann!)).toEqual({ "layer.0": "trains 1", "layer.1": "trains 2" });
  expect(await trainedShapes(federation, bob!)).toEqual({ "layer.0": "reads 1", "layer.1": "trains 2" });
  expect(bob!.uploadBytes).toBeLessThan(ann!.uploadBytes);
  await workAll(federation, [ann!, bob!]);
  expect((await federation.detail()).rounds[0]).toMatchObject({ accepted: 2 });
});

test("estimates are averages over the rounds, the same after a restart in the middle of one", async () => {
  const facts = async (isRestarted: boolean): Promise<unknown> => {
    const federation = await start();
    for (const layerMs of [2, 4, 6]) {
      const plans = await federation.plans("ann", "bob");
      const bob = federation.client("bob");
      bob.capability = measured(layerMs, federation.runId, { uploadBytesPerSecond: 1000 });
      const progress = { stage: "uploading", step: 5, totalSteps: 5, loss: 1, capability: bob.capability };
      await federation.service.clients.report(bob.id, plans[1]!.planId, progress);
      if (isRestarted) await federation.restart();
      await workAll(federation, plans);
    }
    return journaled(federation);
  };
  const rounds = (await facts(false)) as IssuedPlan[][];
  const bob = rounds.map((plans) => plans.find(({ ranks }) => ranks?.capacity?.layerMs !== 1)?.ranks);
  expect(bob.map((ranks) => ranks?.capacity)).toMatchObject([
    { isOwn: false, layerMs: 8, batches: null, uploadMsPerByte: null },
    // The number of batches is what its last accepted round said.
    { isOwn: true, layerMs: 2, batches: 5, uploadMsPerByte: 1 },
    { isOwn: true, layerMs: 3, batches: 5, uploadMsPerByte: 1 },
  ]);
  const strip = (plans: IssuedPlan[][]): unknown => plans.map((each) => each.map(({ ranks }) => ranks));
  expect(strip((await facts(true)) as IssuedPlan[][])).toEqual(strip(rounds));
});

test("who fills a free slot is planned by the round's longest time", async () => {
  const federation = await start();
  const [, bob] = await federation.plans("ann", "bob");
  const eve = await federation.enrol("eve");
  eve.capability = measured(9);
  await federation.service.clients.decline(federation.client("bob").id, bob!.planId, "policy-declined", "");
  const [plan] = await federation.plans("eve");
  expect(await trainedShapes(federation, plan!)).toEqual({ "layer.0": "reads 1", "layer.1": "trains 2" });
});

test("watchers see what was planned", async () => {
  const federation = await start();
  await federation.plans("ann", "bob");
  const events = federation.service.admin.watch(federation.runId, 0, new AbortController().signal);
  for await (const { kind, data } of events) {
    if (kind !== "round-started") continue;
    const planned = new Map((data["cohort"] as { clientId: string }[]).map((each) => [each.clientId, each]));
    expect(planned.get(federation.client("ann").id)).toMatchObject({
      ...{ depth: 2, minRank: 1, maxRank: 2, totalRank: 3 },
      expectedMs: 12,
    });
    expect(planned.get(federation.client("bob").id)).toMatchObject({
      depth: 1,
      minRank: 2,
      totalRank: 2,
      expectedMs: 18,
    });
    break;
  }
});

test("an evaluation is of the whole adapter, whatever a client trains", async () => {
  const federation = await start({ evaluation: { every: 1 } });
  await workAll(federation, await federation.plans("ann", "bob"));
  const plans = await federation.plans("ann", "bob");
  expect(plans.map(({ kind }) => kind)).toEqual(["evaluate", "evaluate"]);
  expect(plans[0]!.instructions).toBe(plans[1]!.instructions);
});

test("tiers go by the class that a client declares", async () => {
  const federation = await new ClockedFederation().start(["ann", "bob"], {
    ...legend,
    rankPlan: { kind: "tiers", classes: { phone: { depth: 1, rank: 1 } } },
  });
  federation.client("bob").capability = { ...testCapability, deviceClass: "phone" };
  const [ann, bob] = await federation.plans("ann", "bob");
  expect(await trainedShapes(federation, ann!)).toEqual({ "layer.0": "trains 2", "layer.1": "trains 2" });
  expect(await trainedShapes(federation, bob!)).toEqual({ "layer.0": "reads 2", "layer.1": "trains 1" });
});
