import { receiptBytes } from "@fedlora/proto";
import type { PlanInstructions, RoundPlan, RunId } from "@fedlora/core";
import { createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "vitest";

import type { RunEventRecord } from "../service.js";
import { ClockedFederation } from "../testing/clocked-federation.js";
import { testKey, testManifest, testSpec } from "../testing/federation.js";
import { expectCode } from "../testing/storage-contract.js";

describe("updates", () => {
  test("are accepted once: a signed receipt, the same one again, another update refused, a late one too", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { rounds: 1, evaluation: { every: 0 } });
    const [plan, other] = await federation.plans("ann", "bob");
    const ann = federation.client("ann");
    const bytes = await ann.update(plan!);
    const receipt = await ann.deliver(plan!, bytes);
    const { signature, ...signed } = receipt;
    expect(verify(null, receiptBytes(signed), createPublicKey(testKey), signature)).toBe(true);

    expect(await ann.deliver(plan!, bytes)).toEqual(receipt);
    await expectCode("update-conflict", ann.deliver(plan!, await ann.update(plan!, "other")));
    await expectCode("plan-not-yours", ann.deliver(other!, bytes));
    await expectCode(
      "plan-unknown",
      federation.service.clients.ticket(ann.id, `${federation.runId}.1.00` as RoundPlan["planId"]),
    );

    await federation.client("bob").work(other!);
    await federation.clock.advance(10);
    expect((await federation.detail()).summary).toMatchObject({ state: "completed", round: 1 });
    // The round is committed and the update's blob deleted: the receipt is the same still.
    expect(await ann.deliver(plan!, bytes)).toEqual(receipt);
    await federation.restart();
    expect((await federation.service.clients.ticket(ann.id, plan!.planId)).accepted).toEqual(receipt);
  });

  test("come too late after the round's close, and are told the current round", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob", "eve"], {
      cohort: { size: 2, overSelection: 1.5 },
    });
    const [a, b, late] = await federation.plans("ann", "bob", "eve");
    await federation.client("ann").work(a!);
    await federation.client("bob").work(b!);
    await federation.clock.advance(10);
    const thrown = await federation
      .client("eve")
      .deliver(late!, new Uint8Array(8))
      .catch((reason: unknown) => reason);
    expect(thrown).toMatchObject({ code: "round-closed", details: { round: "1" } });
    expect((await federation.detail()).rounds[0]).toMatchObject({ planned: 3, accepted: 2, dropouts: 1 });
  });

  test("are deleted at the commit unless the run keeps them", async () => {
    for (const keepUpdates of [false, true]) {
      const federation = await new ClockedFederation().start(["ann", "bob"], {
        rounds: 1,
        keepUpdates,
        evaluation: { every: 0 },
      });
      const plans = await federation.plans("ann", "bob");
      for (const [index, name] of ["ann", "bob"].entries()) await federation.client(name).work(plans[index]!);
      await federation.clock.advance(10);
      await federation.detail();
      await federation.clock.advance(10);
      // Manifest, first and last adapter, the method's state, instructions; and two updates.
      expect(federation.medium.blobs.size).toBe(keepUpdates ? 7 : 5);
    }
  });
});

describe("plans", () => {
  test("say how many rounds the run has: learning rates that fall until its end need it", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { rounds: 7 });
    const [plan] = await federation.plans("ann", "bob");
    const { blobs } = federation.storage;
    const bytes = await blobs.read(plan!.instructions, 0, await blobs.size(plan!.instructions));
    const instructions = JSON.parse(Buffer.from(bytes).toString("utf8")) as PlanInstructions;
    expect(instructions.rounds).toBe(7);
  });
});

describe("slots", () => {
  test("of a client that declines are given to another", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob", "eve"], { rounds: 1 });
    const answers = await federation.polls(["ann", "bob", "eve"]);
    const chosen = ["ann", "bob", "eve"].filter((_, index) => answers[index]!.kind === "plan");
    const [spare] = ["ann", "bob", "eve"].filter((name) => !chosen.includes(name));
    expect(chosen).toHaveLength(2);
    const declined = answers.find((answer) => answer.kind === "plan")!;
    const decliner = federation.client(chosen[0]!);
    await federation.service.clients.decline(decliner.id, declined.plan.planId, "policy-declined", "not today");
    const [plan] = await federation.plans(spare!);
    expect(plan!.round).toBe(1);
    expect(await decliner.poll(0)).toMatchObject({ kind: "wait", reason: "round-full" });
    expect((await federation.detail()).summary.reason).toContain("1 declined");
  });

  test("of a client that falls silent are given to another; the silent one may still deliver", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      rounds: 1,
      evaluation: { every: 0 },
      deadlines: { silenceMs: 1000 },
    });
    const [a, b] = await federation.plans("ann", "bob");
    const eve = await federation.enrol("eve");
    for (let step = 1; step <= 4; step++) {
      await federation.clock.advance(300);
      const progress = { stage: "training", step, totalSteps: 9, loss: 1, capability: undefined };
      expect(await federation.service.clients.report(federation.client("bob").id, b!.planId, progress)).toMatchObject({
        planOpen: true,
      });
    }
    expect((await federation.detail()).summary.reason).toContain("1 fell silent");
    const [c] = await federation.plans("eve");
    // A waiting client holds the plan that it was given before.
    expect((await federation.plans("eve"))[0]!.planId).toBe(c!.planId);
    await federation.client("ann").work(a!);
    await federation.client("bob").work(b!);
    await federation.clock.advance(10);
    expect((await federation.detail()).rounds[0]).toMatchObject({ planned: 3, accepted: 2, dropouts: 1 });
    await expectCode("round-closed", federation.service.clients.ticket(eve.id, c!.planId));
  });
});

describe("deadlines", () => {
  test("close a round with a quorum and say so", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      evaluation: { every: 0 },
      deadlines: { roundMs: 60_000, silenceMs: 120_000 },
    });
    const [plan] = await federation.plans("ann", "bob");
    await federation.client("ann").work(plan!);
    await federation.clock.advance(59_000);
    expect((await federation.detail()).summary).toMatchObject({ phase: "training" });
    await federation.clock.advance(1100);
    expect((await federation.detail()).rounds[0]).toMatchObject({ accepted: 1, planned: 2, dropouts: 1 });
    for await (const { fact } of federation.service.admin.audit(federation.runId, 0)) {
      if (fact["type"] === "round-closed") expect(fact["reason"]).toBe("deadline");
    }
  });

  test("fail a round without a quorum; resumed, it starts over", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      rounds: 1,
      deadlines: { roundMs: 60_000 },
    });
    const [stale] = await federation.plans("ann", "bob");
    await federation.clock.advance(60_100);
    const { summary } = await federation.detail();
    expect(summary).toMatchObject({ state: "failed", phase: "failed" });
    expect(summary.reason).toMatch(/0 of at least 1 updates/);
    await expectCode("round-closed", federation.service.clients.ticket(federation.client("ann").id, stale!.planId));
    await expectCode("run-state", federation.service.admin.stopRun(federation.runId, "", "k1"));

    await federation.service.admin.resumeRun(federation.runId, "k2");
    const [a, b] = await federation.plans("ann", "bob");
    expect(a!.round).toBe(1);
    await federation.service.admin.resumeRun(federation.runId, "k2");
    await federation.client("ann").work(a!);
    await federation.client("bob").work(b!);
    await federation.clock.advance(10);
    expect((await federation.detail()).rounds).toHaveLength(1);
  });

  test("end the wait for clients: a quorum starts, less fails", async () => {
    const enough = await new ClockedFederation().start(["ann"], { deadlines: { enrolMs: 5000 } });
    const polling = enough.client("ann").poll(6000);
    await enough.clock.advance(4900);
    expect((await enough.detail()).summary).toMatchObject({
      phase: "selecting",
      reason: "waiting for clients: 1 of 2 are there for round 1",
    });
    await enough.clock.advance(200);
    expect((await polling).kind).toBe("plan");

    const none = await new ClockedFederation().start([], { deadlines: { enrolMs: 5000 } });
    await none.clock.advance(5100);
    expect((await none.detail()).summary).toMatchObject({ state: "failed" });
  });

  test("go on after a restart with the time that was left, but leave clients time to return", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { deadlines: { roundMs: 60_000 } });
    await federation.plans("ann", "bob");
    await federation.clock.advance(20_000);
    await federation.restart();
    const [plan] = await federation.plans("ann");
    expect(plan!.deadlineMs).toBeGreaterThan(39_000);
    expect(plan!.deadlineMs).toBeLessThanOrEqual(40_000);
    await federation.clock.advance(39_000);
    await federation.restart();
    const [again] = await federation.plans("ann");
    expect(again!.planId).toBe(plan!.planId);
    expect(again!.deadlineMs).toBeGreaterThan(9000);
  });

  test("close a round when a quorum is there and nobody is left to wait for", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      rounds: 1,
      evaluation: { every: 0 },
      deadlines: { silenceMs: 1000 },
    });
    const [a, b] = await federation.plans("ann", "bob");
    await federation.client("ann").work(a!);
    await federation.service.clients.decline(federation.client("bob").id, b!.planId, "policy-declined", "no");
    await federation.clock.advance(1100);
    expect((await federation.detail()).rounds[0]).toMatchObject({ accepted: 1, declined: 1 });
  });
});

describe("evaluation", () => {
  test("finds the best round, tolerates who is missing and stops at the target", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], {
      rounds: 9,
      deadlines: { evaluationMs: 5000 },
      evaluation: { metric: "accuracy", target: 0.8 },
    });
    const plans = await federation.plans("ann", "bob");
    await federation.client("ann").work(plans[0]!);
    await federation.client("bob").work(plans[1]!);
    const [evaluate] = await federation.plans("ann");
    expect(evaluate).toMatchObject({ kind: "evaluate", round: 1, uploadBytes: 0 });
    const { clients } = federation.service;
    const ann = federation.client("ann");
    const broken = { ...ann.evaluation(), evaluation: { count: 1, lossSum: Number.NaN, confusion: [1, 0, 0, 0] } };
    await expectCode("update-metrics", clients.acceptEvaluation(ann.id, evaluate!.planId, broken));
    await ann.work(evaluate!);
    expect((await federation.detail()).summary.phase).toBe("evaluating");
    await federation.clock.advance(5100);
    const { summary, bestRound, rounds } = await federation.detail();
    expect(summary).toMatchObject({ state: "completed", reason: "round 1 reached the target" });
    expect(bestRound).toBe(1);
    expect(rounds[0]!.evaluation).toMatchObject({ count: 10, accuracy: 0.8 });
  });
});

describe("admin writes", () => {
  test("stop and resume at the round after the last commit; ended clients are told", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { evaluation: { every: 0 } });
    const first = await federation.plans("ann", "bob");
    for (const [index, name] of ["ann", "bob"].entries()) await federation.client(name).work(first[index]!);
    await federation.clock.advance(10);
    await federation.plans("ann", "bob");
    const { admin } = federation.service;
    await admin.stopRun(federation.runId, "lunch", "s1");
    await admin.stopRun(federation.runId, "lunch", "s1");
    expect((await federation.detail()).summary).toMatchObject({ state: "stopped", reason: "lunch" });
    const [ended] = await federation.polls(["ann"]);
    expect(ended).toMatchObject({ kind: "ended", state: "stopped", globalAdapter: {} });
    await federation.restart();
    await federation.service.admin.resumeRun(federation.runId, "r1");
    const [plan] = await federation.plans("ann", "bob");
    expect(plan!.round).toBe(2);
    expect((await federation.kinds()).filter((kind) => kind === "run-stopped")).toHaveLength(1);
  });

  test("are refused with a code", async () => {
    const federation = await new ClockedFederation().start([]);
    const { admin } = federation.service;
    const unknown = { ...testSpec(), model: { hash: "cd".repeat(32) } };
    await expectCode("model-missing", admin.createRun("k1", unknown));
    await expectCode("run-exists", admin.createRun("key", testSpec({ rounds: 7 })));
    expect((await admin.createRun("key", testSpec())).summary.runId).toBe(federation.runId);
    await expectCode(
      "target-modules-unmatched",
      admin.createRun("k2", testSpec({ adapter: { rank: 2, targetModules: ["nothing"] } })),
    );
    await expectCode("method-unknown", admin.createRun("k3", testSpec({ method: { name: "fedavgg" } })));
    await expectCode("run-not-found", admin.getRun("nope" as RunId));
    await expectCode("export-refused", admin.exportAdapter(federation.runId, 0, "peft"));
    await expectCode("file-invalid", admin.registerModel({ ...testManifest, hash: "x" } as never));
  });

  test("watching gives every fact once, in order, and live progress", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { rounds: 1, evaluation: { every: 0 } });
    const seen: RunEventRecord[] = [];
    const watching = (async (): Promise<void> => {
      const events = federation.service.admin.watch(federation.runId, 0, new AbortController().signal);
      for await (const event of events) seen.push(event);
    })();
    const plans = await federation.plans("ann", "bob");
    const progress = { stage: "training", step: 1, totalSteps: 9, loss: 0.5, capability: undefined };
    await federation.service.clients.report(federation.client("ann").id, plans[0]!.planId, progress);
    await federation.clock.advance(10);
    for (const [index, name] of ["ann", "bob"].entries()) await federation.client(name).work(plans[index]!);
    await federation.clock.advance(10);
    await watching;
    const facts = seen.filter(({ sequence }) => sequence > 0);
    expect(facts.map(({ kind }) => kind)).toEqual(await federation.kinds());
    expect(facts.map(({ sequence }) => sequence)).toEqual(
      [...facts.map(({ sequence }) => sequence)].sort((a, b) => a - b),
    );
    expect(seen.find(({ kind }) => kind === "client-progress")).toMatchObject({
      sequence: 0,
      clientId: federation.client("ann").id,
      data: { stage: "training", step: 1, loss: 0.5 },
    });
  });

  test("an export names the round and PEFT's configuration", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], { rounds: 1, evaluation: { every: 0 } });
    const plans = await federation.plans("ann", "bob");
    for (const [index, name] of ["ann", "bob"].entries()) await federation.client(name).work(plans[index]!);
    await federation.detail();
    const { adapter, adapterConfig, round } = await federation.service.admin.exportAdapter(federation.runId, 0, "");
    expect(round).toBe(1);
    expect(await federation.storage.blobs.size(adapter.id)).toBe(adapter.size);
    expect(adapterConfig).toMatchObject({ peft_type: "LORA", r: 2, modules_to_save: ["classifier"] });
    await expectCode("export-refused", federation.service.admin.exportAdapter(federation.runId, 5, "peft"));
    await expectCode("export-refused", federation.service.admin.exportAdapter(federation.runId, 1, "onnx"));
  });
});
