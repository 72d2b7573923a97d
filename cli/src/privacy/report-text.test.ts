import type { PrivacyReport } from "@fedlora/proto";
import { expect, test } from "vitest";
import { privacyNote, privacyReportText } from "./report-text.js";

const report: PrivacyReport = {
  mode: "example",
  account: {
    accountant: "pld",
    delta: 1e-5,
    epsilonSpent: 2.70001,
    epsilonSpentLower: 2.69,
    epsilonSettled: 1.8,
    epsilonBudget: 8,
    noiseMultiplier: 0.71754,
    isNoiseSolved: true,
    clipNorm: 1,
    samplingRate: 0.1,
    events: [
      { mechanism: { kind: "sampled-gaussian", noiseMultiplier: 0.71754, samplingRate: 0.1 }, count: 24 },
      { mechanism: { kind: "gaussian", noiseMultiplier: 5 }, count: 3 },
      { mechanism: { kind: "unbounded", reason: "told" }, count: 1 },
    ],
    warnings: ["Better: fed-sb leaves 5.7 times less noise in the weights than fedavg for the same guarantee."],
  },
  rounds: [{ round: 1, epsilon: 1.8, clipNorm: 0.5, unclippedShare: 0.25 }],
};

test("bounds are rounded up, what is left is rounded down", () => {
  expect(privacyReportText("r1", report).split("\n")).toEqual([
    "r1: privacy.mode example, noise multiplier 0.718 (solved), clip norm 1, sampling rate at most 0.1",
    "spent: epsilon 2.71 (at least 2.69) at delta 0.00001, plans that are out included; 1.8 in committed rounds",
    "left: epsilon 5.299 of 8",
    "warning: Better: fed-sb leaves 5.7 times less noise in the weights than fedavg for the same guarantee.",
    "",
    "releases  mechanism",
    "--------  ---------------------------------------------------",
    "      24  Gaussian, noise multiplier 0.718, sampling rate 0.1",
    "       3  Gaussian, noise multiplier 5",
    "       1  unbounded: told",
    "",
    "round  epsilon so far  clip norm  unclipped",
    "-----  --------------  ---------  ---------",
    "    1  1.8             0.5000     0.250",
  ]);
});

test("a run without privacy is told so", () => {
  expect(privacyReportText("r1", { mode: "none" })).toBe("r1 has no privacy: what it releases is not bounded");
});

test("an infinite epsilon and a missing budget have words", () => {
  const account = { ...report.account, epsilonSpent: Infinity, epsilonSpentLower: undefined, epsilonBudget: undefined };
  const text = privacyReportText("r1", { ...report, account });
  expect(text).toContain("spent: epsilon infinite at delta");
  expect(text).toContain("no budget: the run only counts");
});

test("whoever creates a run hears of its budget, its noise and the better method", () => {
  expect(privacyNote(report).split("\n")).toEqual([
    "privacy: mode example, budget epsilon 8 at delta 0.00001, noise multiplier 0.718 (solved), clip norm 1, sampling rate at most 0.1",
    "privacy: Better: fed-sb leaves 5.7 times less noise in the weights than fedavg for the same guarantee.",
  ]);
});
