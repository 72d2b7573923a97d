import { expect, test } from "vitest";
import type { ScenarioResult } from "../run/run-scenario.js";
import { parseScenario } from "../scenario/parse-scenario.js";
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
