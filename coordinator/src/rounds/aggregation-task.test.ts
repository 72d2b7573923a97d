import { expect, test } from "vitest";

import { ClockedFederation } from "../testing/clocked-federation.js";
import { gatedAggregation } from "../testing/gated-aggregation.js";

test("an aggregation that takes too long fails the run, which can be resumed", async () => {
  const names = ["ann", "bob"];
  const deadlines = { aggregationMs: 60_000 };
  const federation = await new ClockedFederation().start(names, { evaluation: { every: 0 }, deadlines });
  await federation.restart(gatedAggregation());
  const plans = await federation.plans(...names);
  for (const [index, name] of names.entries()) await federation.client(name).work(plans[index]!);

  while (!(await reasonOf(federation)).includes("aggregating 2 updates")) await federation.clock.advance(1);
  await federation.clock.advance(60_001);

  const { summary } = await federation.detail();
  expect(summary).toMatchObject({ state: "failed", reason: expect.stringContaining("aggregationMs, 60000 ms") });
  await federation.restart();
  await federation.service.admin.resumeRun(federation.runId, "again");
  expect(await federation.plans(...names)).toHaveLength(2);
});

async function reasonOf(federation: ClockedFederation): Promise<string> {
  return (await federation.service.admin.getRun(federation.runId)).summary.reason;
}
