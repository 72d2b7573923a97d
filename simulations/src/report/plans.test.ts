import { expect, test } from "vitest";
import type { ClassRound } from "../run/class-rounds.js";
import { ClassRounds } from "../run/class-rounds.js";
import type { RunResult } from "../run/round-row.js";
import { parseScenario } from "../scenario/parse-scenario.js";
import { classPlans } from "./class-plans.js";
import { plansSection } from "./plans-section.js";
import { summarizeTarget, targetSection, targetTable } from "./target.js";
import { testRun } from "./testing/test-run.js";

const weak = (depths: Record<number, number>, waitingMs: number): ClassRound => {
  const clients = Object.values(depths).reduce((sum, count) => sum + count, 0);
  return { clients, depths, minRank: 2, maxRank: 8, totalRank: 10, waitingMs };
};
const strong: ClassRound = { clients: 2, depths: { 6: 2 }, minRank: 8, maxRank: 8, totalRank: 48, waitingMs: 1000 };

function planned(seed: number): RunResult {
  const run = testRun("plans", seed, [0.5, 0.8, 0.9]);
  const rounds = [weak({ 2: 1 }, 0), weak({ 2: 1, 5: 2 }, 3000), undefined];
  return {
    ...run,
    rounds: run.rounds.map((row, index) => {
      const own = rounds[index];
      return { ...row, classes: own === undefined ? { strong } : { strong, weak: own } };
    }),
  };
}

test("a round's trainings and waits are gathered by class", () => {
  const rounds = new ClassRounds((client) => (client < 10 ? "weak" : "strong"));
  const part = { depth: 1, reach: 0.1, minRank: 2, maxRank: 4, totalRank: 6 };
  rounds.trained(1, 3, part);
  rounds.trained(2, 3, { ...part, depth: 2, minRank: 1, totalRank: 10 });
  rounds.trained(11, 3, { ...part, depth: 6, maxRank: 8 });
  rounds.trained(11, 4, part);
  rounds.delivered(1, 3, 500);
  rounds.delivered(11, 3, 200);
  expect(rounds.finish(3)).toEqual({
    strong: { clients: 1, depths: { 6: 1 }, minRank: 2, maxRank: 8, totalRank: 6, waitingMs: 300 },
    weak: { clients: 2, depths: { 1: 1, 2: 1 }, minRank: 1, maxRank: 4, totalRank: 8, waitingMs: 0 },
  });
  expect(rounds.finish(3)).toEqual({});
  expect(rounds.finish(4)["strong"]).toMatchObject({ clients: 1, waitingMs: undefined });
});

test("what a class trained is a mean over its trainings, and over the seeds", () => {
  const [strongPlans, weakPlans] = classPlans([planned(0), planned(1)]);
  expect(strongPlans).toMatchObject({
    name: "strong",
    trainings: 12,
    minDepth: 6,
    maxDepth: 6,
    minRank: 8,
    maxRank: 8,
  });
  expect(weakPlans).toMatchObject({ name: "weak", trainings: 8, minDepth: 2, maxDepth: 5, minRank: 2, maxRank: 8 });
  expect(weakPlans!.depth).toEqual({ mean: (2 + 2 + 5 + 5) / 4, std: 0, count: 2 });
  expect(weakPlans!.waitingSeconds!.mean).toBe(1.5);
});

test("the report has a table of the plans and curves of the depths, where there is anything to tell", async () => {
  const runs = [planned(0), testRun("same", 0, [0.5, 0.6])];
  const variants = ["plans", "same"].map((variant) => {
    return { variant, classes: classPlans(runs.filter((run) => run.variant === variant)) };
  });
  const html = await plansSection(variants, runs);
  expect(html).toContain("<td>weak</td>");
  expect(html).toContain("2 to 5");
  expect(html.match(/<figure>/g)).toHaveLength(1);
  expect(html).toContain("Depth by device class: plans");
  expect(html).not.toMatch(/NaN|undefined|Infinity/);
  expect(await plansSection(variants.slice(1), runs.slice(1))).toBe("");
});

test("a target is told at the first test that reached it, of the runs that did", () => {
  const runs = [testRun("a", 0, [0.5, 0.8, 0.7]), testRun("a", 1, [0.6, 0.7, 0.9]), testRun("a", 2, [0.6, 0.7, 0.7])];
  const target = summarizeTarget({ accuracy: 0.8 }, runs)!;
  expect(target).toMatchObject({
    reached: 2,
    rounds: { mean: 2.5 },
    virtualSeconds: { mean: 2.5 },
    bytes: { mean: 7.5e6 },
  });
  const never = summarizeTarget({ accuracy: 0.95 }, runs)!;
  expect(never).toMatchObject({ reached: 0, rounds: undefined });
  const rows = [
    { variant: "a", runs: 3, target },
    { variant: "b", runs: 3, target: never },
  ];
  expect(targetTable({ accuracy: 0.8 }, rows)).toMatch(
    /Until accuracy 0\.8\n.*\n.*\na +2\/3 +2\.5 ± 0\.7 +2\.5 ± 0\.7 +7\.50 ± 2\.12\nb +not reached/,
  );
  expect(targetSection({ accuracy: 0.8 }, rows)).toContain("not reached");
  expect([summarizeTarget(undefined, runs), targetSection(undefined, rows), targetTable(undefined, rows)]).toEqual([
    undefined,
    "",
    undefined,
  ]);
});

test("a scenario names its target by one quality", () => {
  const rest =
    "name: t\ndata: { kind: synthetic }\npartition: { kind: iid, clients: 2 }\nmodel: { kind: linear }\nrun: {}";
  const text = (target: string): string => `${rest}\ntarget: ${target}`;
  expect(parseScenario(text("{ accuracy: 0.9 }")).target).toEqual({ accuracy: 0.9 });
  expect(() => parseScenario(text("{ accuracy: 0.9, loss: 1 }"))).toThrow(/name one of its fields/);
  expect(() => parseScenario(text("{ acuracy: 0.9 }"))).toThrow(/did you mean "accuracy"/);
});
