import { builtinMethods, createMethodRegistry } from "@fedlora/aggregators";
import { compileRunSpec } from "@fedlora/core";
import type { RoundPlan, RunId, RunSpecInput } from "@fedlora/core";
import { describe, expect, test } from "vitest";

import { ClockedFederation } from "../testing/clocked-federation.js";
import { testManifest, testSpec } from "../testing/federation.js";
import { expectCode } from "../testing/storage-contract.js";

const wide: Partial<RunSpecInput> = { name: "wide", rounds: 2, evaluation: { every: 0 } };
const narrow: Partial<RunSpecInput> = {
  name: "narrow",
  rounds: 1,
  adapter: { rank: 1, targetModules: ["query"] },
  evaluation: { every: 0 },
};

/** The plans of clients that take part in this run only. They poll for longer than a round waits for others to show up. */
async function plansOf(federation: ClockedFederation, runId: RunId, names: readonly string[]): Promise<RoundPlan[]> {
  await federation.detail(runId);
  const polls = names.map((name) => federation.client(name).poll(3000, runId));
  await federation.clock.advance(3000);
  const answers = await Promise.all(polls);
  return answers.map((answer) => {
    if (answer.kind !== "plan") throw new Error(JSON.stringify(answer));
    return answer.plan;
  });
}

async function workOn(federation: ClockedFederation, runId: RunId, names: readonly string[]): Promise<RoundPlan[]> {
  const plans = await plansOf(federation, runId, names);
  for (const [index, name] of names.entries()) await federation.client(name).work(plans[index]!);
  await federation.clock.advance(10);
  return plans;
}

async function adaptersOf(federation: ClockedFederation, runId: RunId): Promise<string[]> {
  return (await federation.detail(runId)).rounds.map(({ adapterBlobId }) => adapterBlobId);
}

describe("two runs at once with one population of clients", () => {
  test("share the clients out: nobody works for both, and nobody sees the other's plans", async () => {
    const names = ["ann", "bob", "cyd", "dee"];
    const federation = await new ClockedFederation().start(names, wide);
    const other = (await federation.service.admin.createRun("key-2", testSpec(narrow))).summary.runId;
    const answers = [...(await federation.polls(names)), ...(await federation.polls(names))].slice(names.length);
    const plans = answers.map((answer) => (answer.kind === "plan" ? answer.plan : undefined));
    expect(plans.map((plan) => plan?.runId).sort()).toEqual([other, other, federation.runId, federation.runId].sort());

    const mine = plans.findIndex((plan) => plan?.runId === federation.runId);
    const theirs = plans.find((plan) => plan?.runId === other)!;
    const { clients } = federation.service;
    const me = federation.client(names[mine]!);
    await clients.authorizeBlob(me.id, plans[mine]!.instructions);
    await expectCode("blob-not-found", clients.authorizeBlob(me.id, theirs.instructions));
    await expectCode("plan-not-yours", clients.ticket(me.id, theirs.planId));
    const [layout, otherLayout] = [
      (await clients.ticket(me.id, plans[mine]!.planId)).layout,
      (await clients.ticket(federation.client(names[plans.indexOf(theirs)]!).id, theirs.planId)).layout,
    ];
    expect(layout[0]!.shape).not.toEqual(otherLayout[0]!.shape);
  });

  test("give each the adapters that it would have alone, restart and all", async () => {
    const alone = await Promise.all(
      [wide, narrow].map(async (changes, index) => {
        const names = [["ann", "bob"] as const, ["cyd", "dee"] as const][index]!;
        const federation = await new ClockedFederation().start(names, changes);
        for (let round = 0; round < (changes.rounds ?? 0); round++) await workOn(federation, federation.runId, names);
        return adaptersOf(federation, federation.runId);
      }),
    );
    const federation = await new ClockedFederation().start(["ann", "bob", "cyd", "dee"], wide);
    const first = federation.runId;
    const second = (await federation.service.admin.createRun("key-2", testSpec(narrow))).summary.runId;
    const begun = await plansOf(federation, second, ["cyd", "dee"]);
    await federation.client("cyd").work(begun[0]!);
    await workOn(federation, first, ["ann", "bob"]);
    await federation.detail(first);
    await federation.restart();
    await federation.client("dee").work(begun[1]!);
    await federation.clock.advance(10);
    await workOn(federation, first, ["ann", "bob"]);

    expect([await adaptersOf(federation, first), await adaptersOf(federation, second)]).toEqual(alone);
    expect((await federation.service.admin.listRuns()).map(({ state }) => state)).toEqual(["completed", "completed"]);
  });

  test("fail and stop by themselves", async () => {
    const names = ["ann", "bob"];
    const federation = await new ClockedFederation().start(names, wide);
    const { admin } = federation.service;
    const failing = testSpec({ ...narrow, deadlines: { enrolMs: 10_000 } });
    const second = (await admin.createRun("key-2", failing)).summary.runId;
    const third = (await admin.createRun("key-3", testSpec({ ...narrow, name: "third" }))).summary.runId;
    const plans = await plansOf(federation, federation.runId, names);
    await federation.clock.advance(10_100);
    await admin.stopRun(third, "enough", "s1");
    expect((await federation.detail(second)).summary).toMatchObject({ state: "failed" });
    for (const [index, name] of names.entries()) await federation.client(name).work(plans[index]!);
    await federation.clock.advance(10);
    await workOn(federation, federation.runId, names);
    await federation.detail();
    const summaries = await admin.listRuns();
    expect(summaries.map(({ state }) => state)).toEqual(["completed", "failed", "stopped"]);
  });
});

describe("a run that this build cannot work on", () => {
  const house = { ...builtinMethods.get("fedavg")!, name: "house" };
  const more = createMethodRegistry([...builtinMethods.values(), house]);

  async function withLostMethod(): Promise<{ federation: ClockedFederation; lost: RunId; open: RoundPlan }> {
    const federation = await new ClockedFederation().start(["ann", "bob", "cyd", "dee"], wide);
    await federation.restart({ methods: more });
    for (const name of ["ann", "bob", "cyd", "dee"]) await federation.enrol(name);
    const spec = compileRunSpec({ ...testSpec(wide), name: "lost", method: { name: "house" } });
    const lost = (await federation.service.admin.createRun("key-2", spec)).summary.runId;
    const [open] = await plansOf(federation, lost, ["cyd", "dee"]);
    await federation.restart();
    return { federation, lost, open: open! };
  }

  test("shows as failed and why, and the others go on", async () => {
    const { federation, lost } = await withLostMethod();
    const { admin } = federation.service;
    const { summary, spec } = await admin.getRun(lost);
    expect(summary).toMatchObject({ state: "failed", name: "lost", method: "house" });
    expect(summary.reason).toMatch(/^method-unknown: there is no method "house"/);
    expect(spec.method.name).toBe("house");
    expect((await admin.listRuns()).find(({ runId }) => runId === lost)).toEqual(summary);
    const facts: unknown[] = [];
    for await (const { fact } of admin.audit(lost, 0)) facts.push(fact["type"]);
    expect(facts).toEqual(["run-created", "round-started"]);
    const seen: string[] = [];
    for await (const { kind } of admin.watch(lost, 0, new AbortController().signal)) seen.push(kind);
    expect(seen).toEqual(facts);
    expect(await admin.createRun("key-2", spec)).toEqual(await admin.getRun(lost));
    await expectCode("method-unknown", admin.resumeRun(lost, "r1"));
    await expectCode("method-unknown", admin.stopRun(lost, "", "s1"));

    for (let round = 0; round < 2; round++) await workOn(federation, federation.runId, ["ann", "bob"]);
    expect((await federation.detail()).summary.state).toBe("completed");
  });

  test("goes on where it was with a build that can, its plans and blobs kept", async () => {
    const { federation, lost, open } = await withLostMethod();
    const cyd = federation.client("cyd");
    expect(await cyd.poll(0, lost)).toMatchObject({ kind: "wait", reason: "no-run" });
    await expectCode("unavailable", federation.service.clients.ticket(cyd.id, open.planId));
    await workOn(federation, federation.runId, ["ann", "bob"]);
    await federation.detail();
    await federation.service.close();

    await federation.restart({ methods: more });
    expect((await federation.detail(lost)).summary).toMatchObject({ state: "running", phase: "training", round: 1 });
    const [again] = await plansOf(federation, lost, ["cyd"]);
    expect(again!.planId).toBe(open.planId);
    await cyd.work(again!);
  });

  test("may be one whose spec is not accepted any more, or whose model is gone", async () => {
    const federation = await new ClockedFederation().start(["ann", "bob"], wide);
    for (const [index, { event, ...stored }] of federation.medium.events.entries()) {
      if (event.type !== "run-created") continue;
      const spec = { ...(event["spec"] as object), rounds: "many" };
      federation.medium.events[index] = { ...stored, event: { ...event, spec } };
    }
    await federation.restart();
    expect((await federation.service.admin.getRun(federation.runId)).summary.reason).toMatch(/^spec-invalid: /);

    const other = await new ClockedFederation().start(["ann", "bob"], wide);
    const registered = other.medium.events.find(({ event }) => event.type === "model-registered")!;
    other.medium.blobs.delete((registered.event["manifest"] as { id: never }).id);
    await other.restart();
    expect((await other.service.admin.getRun(other.runId)).summary.reason).toMatch(/^blob-not-found: /);
    await other.service.admin.registerModel({ ...testManifest, name: "tiny" });
  });
});
