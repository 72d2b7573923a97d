import { compileMethod } from "@fedlora/aggregators";
import type { RunId, RunSpecInput } from "@fedlora/core";
import { expect, test } from "vitest";

import { ClockedFederation } from "../testing/clocked-federation.js";
import { testSpec } from "../testing/federation.js";
import { assertExportForm } from "./export-forms.js";

/** A run of one round that both clients took part in. */
async function trained(changes: Partial<RunSpecInput>) {
  const members = ["ann", "bob"] as const;
  const federation = await new ClockedFederation().start([...members], {
    rounds: 1,
    evaluation: { every: 0 },
    ...changes,
  });
  const plans = await federation.plans(...members);
  for (const [index, name] of members.entries()) await federation.client(name).work(plans[index]!);
  await federation.detail();
  return (form: string) => federation.service.admin.exportAdapter(federation.runId, 0, form);
}

const refusal = (...parts: string[]) =>
  expect.objectContaining({
    code: "export-refused",
    message: expect.stringMatching(new RegExp(parts.join(".*"), "u")),
  }) as unknown;

test("a run that left its base alone exports as PEFT, cut and merged; there is nothing to stack", async () => {
  const exportAs = await trained({});

  for (const form of ["", "peft", "truncated", "merged"]) expect((await exportAs(form)).baseDeltas).toEqual([]);
  await expect(exportAs("stacked")).rejects.toEqual(refusal("nothing to stack", "allowed: peft, truncated, merged$"));
  await expect(exportAs("onnx")).rejects.toEqual(refusal("onnx", "no such form", "allowed: peft, truncated, merged$"));
});

test("a run that changed its base never exports as a plain adapter", async () => {
  const exportAs = await trained({ method: { name: "fedex-lora" } });

  for (const form of ["stacked", "truncated", "merged"]) {
    expect((await exportAs(form)).baseDeltas).toMatchObject([{ fromVersion: 0, toVersion: 1 }]);
  }
  await expect(exportAs("peft")).rejects.toEqual(refusal("another model", "allowed: stacked, truncated, merged$"));
});

test("a run of personal models has no global adapter: the error says where the models are", async () => {
  const exportAs = await trained({ method: { name: "fedsa-lora", options: { warmUpSteps: 0 } } });

  for (const form of ["peft", "stacked", "truncated", "merged"]) {
    await expect(exportAs(form)).rejects.toEqual(
      refusal("a model of its own", "client\\.model\\(\\)", "allowed: nothing$"),
    );
  }
});

test("a changed base rules a plain adapter out, whatever the method declares", () => {
  const method = compileMethod({ spec: testSpec(), scalings: {}, adapterLayout: [] });
  const attempt = (form: string, baseVersion: number) => () =>
    assertExportForm("run-1" as RunId, form, baseVersion, method, method.initialState());

  expect(method.exports(method.initialState())).toContain("peft");
  expect(attempt("peft", 0)).not.toThrow();
  expect(attempt("peft", 1)).toThrow(refusal("another model", "allowed: truncated, merged$"));
  expect(attempt("merged", 1)).not.toThrow();
});
