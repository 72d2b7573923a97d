import type { PlanId, PlanInstructions, RunId, StateDict } from "@fedlora/core";
import { toFloat32 } from "@fedlora/core";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { filledState } from "../testing/fake-plan.js";
import { RunTensors } from "./run-tensors.js";

const runId = "0123456789abcdef" as RunId;
const planOf = (round: number): { planId: PlanId; runId: RunId; round: number } => ({
  planId: `${runId}.${round}.0000000000000000` as PlanId,
  runId,
  round,
});
const valuesOf = (state: StateDict): Record<string, number | undefined> =>
  Object.fromEntries([...state].map(([name, tensor]) => [name, toFloat32(tensor)[0]]));

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-run-tensors-"));
  for (const name of ["work", "runs"]) await mkdir(join(folder, name));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a residual counts from its update's acceptance on, and no earlier", async () => {
  const tensors = new RunTensors(folder);
  expect(valuesOf(await tensors.residual(runId))).toEqual({});

  await tensors.stage(planOf(1), new Map(), undefined, filledState({ a: [1, [2]], b: [2, [1]] }));
  expect(valuesOf(await tensors.residual(runId))).toEqual({});
  await tensors.promote(planOf(1).planId, runId);
  expect(valuesOf(await new RunTensors(folder).residual(runId))).toEqual({ a: 1, b: 2 });

  await tensors.stage(planOf(2), new Map(), undefined, filledState({ a: [9, [2]] }));
  expect(valuesOf(await tensors.residual(runId))).toEqual({ a: 1, b: 2 });
});

test("a round that codes some tensors leaves the residuals of the others, one that loses nothing leaves all", async () => {
  const tensors = new RunTensors(folder);
  const accept = async (round: number, residual: StateDict | undefined): Promise<void> => {
    await tensors.stage(planOf(round), new Map(), undefined, residual);
    await tensors.promote(planOf(round).planId, runId);
  };

  await accept(1, filledState({ a: [1, [2]], b: [2, [1]] }));
  await accept(2, filledState({ b: [3, [1]] }));
  await accept(3, undefined);

  expect(valuesOf(await tensors.residual(runId))).toEqual({ a: 1, b: 3 });
});

test("a client lacks values of its own until its first update of the run was accepted", async () => {
  const tensors = new RunTensors(folder);
  const role = (name: string, keep: "none" | "run"): object => ({
    spec: { name, dtype: "F32", shape: [2] },
    trained: true,
    keep,
  });
  const keeping = { roles: [role("a", "none"), role("b", "run")] } as unknown as PlanInstructions;
  const sharing = { roles: [role("a", "none")] } as unknown as PlanInstructions;
  expect(await tensors.lacksOwn(runId, 1, keeping)).toBe(true);
  expect(await tensors.lacksOwn(runId, 1, sharing)).toBe(false);

  await tensors.stage(planOf(1), filledState({ a: [1, [2]], b: [1, [2]] }), undefined, undefined);
  expect(await tensors.lacksOwn(runId, 1, keeping)).toBe(true);
  await tensors.promote(planOf(1).planId, runId);
  expect(await tensors.lacksOwn(runId, 2, keeping)).toBe(false);
});
