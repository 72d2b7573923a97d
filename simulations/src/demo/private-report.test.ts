import { expect, test } from "vitest";
import { privateReportText, showEpsilon, type PrivateDemoReport } from "./private-report.js";

const report: PrivateDemoReport = {
  seed: 0,
  members: [{ name: "ada", mails: 1751, spam: 314 }],
  rounds: 5,
  stepsPerModel: 40,
  plain: { name: "federated", accuracy: 0.965, f1: 0.932 },
  private: { name: "federated, private", accuracy: 0.8675, f1: 0.6788 },
  allHam: { name: "all called ham", accuracy: 0.745, f1: 0 },
  loss: { accuracy: 9.75, f1: 25.32 },
  spent: { epsilon: 7.9912, budget: 8, delta: 1e-5, noiseMultiplier: 0.7461, clipNorm: 1 },
  adapterFolder: "adapter",
  adapterHash: "ab",
  seconds: 200,
};

test("the report states epsilon and delta, and what they cost", () => {
  const text = privateReportText(report);
  expect(text).toMatch(/federated +0\.9650 +0\.9320 +unbounded\n/);
  expect(text).toMatch(/federated, private +0\.8675 +0\.6788 +8 +0\.00001 +0\.746\n/);
  expect(text).toContain("9.8 points less of accuracy and 25.3 points less of F1");
  expect(text).toContain("epsilon 8, delta 0.00001");
  expect(text).toContain("of a budget of 8, in 5 rounds of 8 steps");
});

test("a gain is told as one", () => {
  expect(privateReportText({ ...report, loss: { accuracy: -1, f1: 2 } })).toContain(
    "1.0 points more of accuracy and 2.0 points less of F1",
  );
});

test.each([
  [7.981, "7.99"],
  [7.98, "7.98"],
  [0.12345, "0.124"],
  [12.31, "12.4"],
  [0, "0"],
  [Infinity, "infinite"],
])("epsilon %d is shown as %s, never below itself", (epsilon, shown) => {
  expect(showEpsilon(epsilon)).toBe(shown);
});
