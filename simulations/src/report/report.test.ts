import { describe, expect, test } from "vitest";
import { noMethod, type RunResult } from "../run/round-row.js";
import type { ScenarioResult } from "../run/run-scenario.js";
import { parseScenario } from "../scenario/parse-scenario.js";
import { chartLegend } from "./chart.js";
import { curvesOf } from "./curves.js";
import { htmlReport } from "./html-report.js";
import { shown, spreadOf } from "./spread.js";
import { summarize } from "./summary.js";
import { testRun } from "./testing/test-run.js";
import { textReport } from "./text-report.js";

const text = `
name: report
data: { kind: synthetic }
partition: { kind: iid, clients: 4 }
model: { kind: linear }
run: {}
`;
const result: ScenarioResult = {
  scenario: parseScenario(text),
  data: { name: "d", source: "s", licence: "l", sha256: "00", examples: 3 },
  model: { name: "m", hash: "cd" },
  engine: { name: "e", fingerprint: "f" },
  workers: 2,
  runs: [testRun("a", 0, [0.5, 0.8]), testRun("a", 1, [0.6, 0.9]), testRun("<b>", 0, [0.4, 0.7])],
};

test("means and standard deviations are over the seeds", () => {
  const { variants } = summarize(result, {});
  expect(variants.map(({ variant, completed, runs }) => [variant, completed, runs])).toEqual([
    ["a", 2, 2],
    ["<b>", 1, 1],
  ]);
  expect(variants[0]!.testAccuracy!.mean).toBeCloseTo(0.85, 12);
  expect(variants[0]!.testAccuracy!.std).toBeCloseTo(Math.sqrt(0.005), 12);
  expect(variants[1]!.testAccuracy).toEqual({ mean: 0.7, std: undefined, count: 1 });
  expect(variants[0]!.bytesUp!.mean).toBe(2e6);
  expect(spreadOf([])).toBeUndefined();
});

test("curves have a point per round, at the mean of the seeds, over rounds, time and bytes", () => {
  const curve = curvesOf(result.runs, "bytes", ({ test: measured }) => measured?.accuracy);
  const [first, second] = curve.filter(({ variant }) => variant === "a");
  expect([first!.x, second!.x]).toEqual([3, 6]);
  expect(first!.mean).toBeCloseTo(0.55, 12);
  expect(first!.high - first!.low).toBeCloseTo(2 * Math.sqrt(0.005), 12);
  expect(curvesOf(result.runs, "virtual time", () => Number.NaN)).toEqual([]);
});

describe("of a language model beside what there is without a federation", () => {
  const made = testRun("a", 0, [0.5, 0.8]);
  const asLanguage = (run: RunResult): RunResult => ({
    ...run,
    rounds: run.rounds.map((row) => ({
      ...row,
      test: { count: 9, loss: 3, accuracy: undefined, f1: undefined, perplexity: Math.exp(3) },
      evaluation: { count: 9, loss: 2, perplexity: Math.exp(2) },
    })),
  });
  const [first] = testRun("(base)", 0, [0.5]).rounds;
  const base: RunResult = { ...made, variant: "(base)", method: noMethod, rounds: [{ ...first!, round: 0, endMs: 0 }] };
  const runs = [asLanguage(base), asLanguage(made)];

  test("tables have loss and perplexity, and no accuracy", async () => {
    const summary = summarize({ ...result, runs }, {});
    expect(summary.variants[1]).toMatchObject({ testPerplexity: { mean: Math.exp(3) }, testAccuracy: undefined });
    expect(textReport(summary)).toMatch(/loss +perplexity +own loss +own perplexity/u);
    expect(textReport(summary)).not.toMatch(/accuracy/u);
    expect(await htmlReport(summary, { ...result, runs }, text)).toMatch(/>perplexity<.*>20\.09</su);
  });

  test("a reference is a line across, and no round", () => {
    const points = curvesOf(runs, "rounds", ({ test: measured }) => measured?.loss);
    expect(points.map(({ variant, x, mean }) => [variant, x, mean])).toEqual([
      ["(base)", 0, 3],
      ["(base)", 2, 3],
      ["a", 1, 3],
      ["a", 2, 3],
    ]);
    expect(summarize({ ...result, runs }, {}).variants[0]).toMatchObject({ rounds: undefined, method: "none" });
  });
});

test("numbers without a spread, or with one that would show as zero, stand alone", () => {
  expect(shown({ mean: 0.5, std: 0.01, count: 2 }, 2)).toBe("0.50 ± 0.01");
  expect(shown({ mean: 0.5, std: 0.001, count: 2 }, 2)).toBe("0.50");
  expect(shown({ mean: 0.5, std: undefined, count: 1 }, 1)).toBe("0.5");
  expect(textReport(summarize(result, {}))).toMatch(/report \(2 seeds: mean ± standard deviation\)/);
});

test("the report is one file: charts as SVG, names escaped, nothing from elsewhere", async () => {
  const html = await htmlReport(summarize(result, { fedlora: "1.2.3" }), result, text);
  expect(html.match(/<figure>/g)!.length).toBeGreaterThan(5);
  expect(html).toContain("&lt;b&gt;");
  expect(html).not.toMatch(/<b>|<script|<link|src=|url\(http/);
  expect(html).toContain("update-not-finite");
  expect(html).toContain("1.2.3");
  expect(html).toContain("Privacy spent");
  expect(html).not.toMatch(/NaN|undefined/);
});

test("what is drawn is also said: charts have a title and a description, tables a caption and row headers", async () => {
  const html = await htmlReport(summarize(result, {}), result, text);
  const charts = html.match(/<figure>.*?<\/figure>/gs)!;
  expect(charts[0]).toMatch(
    /role="img"><title>Accuracy on test examples<\/title><desc>accuracy over rounds\. Last: a 0\.85 at 2/,
  );
  for (const chart of charts) expect(chart).toMatch(/role="img"><title>.+<\/title><desc>.+<\/desc>/);
  const tables = html.match(/<table>.*?<\/table>/gs)!;
  for (const table of tables)
    expect(table).toMatch(/^<table><caption>.+<\/caption>.*<th scope="col".*<th scope="row"/s);
});

test("no two of forty variants have the same line", () => {
  const lines = chartLegend(Array.from({ length: 40 }, (_, index) => `v${index}`)).match(/stroke="[^>]*/g)!;
  expect(new Set(lines).size).toBe(40);
});
