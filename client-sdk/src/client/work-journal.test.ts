import { noopLogger, type PlanId, type RunId } from "@fedlora/core";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { pinCoordinatorKey } from "./pinned-keys.js";
import { WorkJournal, type FinishedWork } from "./work-journal.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-journal-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = (): Promise<WorkJournal> => WorkJournal.open(join(folder, "journal.json"), noopLogger);
const finished: FinishedWork = {
  planId: "p1" as PlanId,
  runId: "r1" as RunId,
  round: 3,
  blob: { id: "0".repeat(64) as never, size: 12 },
  metrics: { numExamples: 4, numSteps: 2, trainLoss: undefined, evaluation: undefined, trainMs: 1.5 },
};
const accepted = { planId: finished.planId, outcome: "accepted", code: "", reason: "" } as const;

test("remembers finished work and how plans ended across restarts", async () => {
  const journal = await open();
  await journal.recordFinished(finished);
  const restarted = await open();
  const before = restarted.finished;
  await restarted.recordAnswer({ planId: "p0" as PlanId, outcome: "declined", code: "data-empty", reason: "none" });
  const stillThere = (await open()).finished;
  await restarted.recordAnswer(accepted);
  const last = await open();

  expect(before).toEqual(finished);
  expect(stillThere).toEqual(finished);
  expect(last.finished).toBeUndefined();
  expect(last.answered(finished.planId)).toEqual(accepted);
  expect(last.answered("p0" as PlanId)?.code).toBe("data-empty");
  expect(last.answered("p9" as PlanId)).toBeUndefined();
});

test("stays small however many plans there were", async () => {
  const journal = await open();
  for (let i = 0; i < 300; i++) await journal.recordAnswer({ ...accepted, planId: `p${i}` as PlanId });

  expect(journal.answered("p43" as PlanId)).toBeUndefined();
  expect(journal.answered("p44" as PlanId)).toBeDefined();
});

test.each(["", "{}", '{"format":"fedlora-work/1","answered":[{"planId":"../x"}]}'])(
  "sets a damaged journal aside: %j",
  async (content) => {
    await writeFile(join(folder, "journal.json"), content);

    const journal = await open();

    expect(journal.finished).toBeUndefined();
    expect(await readdir(folder)).toEqual(["journal.json.damaged"]);
  },
);

test("pins a key per address, on first use", async () => {
  const path = join(folder, "coordinators.json");
  const [key, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  await pinCoordinatorKey(path, "one:1", key);

  await expect(pinCoordinatorKey(path, "one:1", key)).resolves.toBeUndefined();
  await expect(pinCoordinatorKey(path, "two:2", other)).resolves.toBeUndefined();
  await expect(pinCoordinatorKey(path, "one:1", other)).rejects.toMatchObject({ code: "coordinator-untrusted" });
  await writeFile(path, "[]");
  await expect(pinCoordinatorKey(path, "one:1", key)).rejects.toMatchObject({ code: "file-invalid" });
});
