import {
  createAccountant,
  type PlanInstructions,
  type PlanPrivacy,
  type PrivacyEvent,
  trainingSchema,
} from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { fakeInstructions, fakeRole } from "../testing/fake-plan.js";
import type { LedgerEntry } from "./ledger.js";
import { assertPrivacyAllowed, assertPrivacyPolicy, privacySpent, releasedEvents } from "./owner-privacy.js";

const shared = { noiseMultiplier: 2, clipNorm: 1, delta: 1e-5, metricsNoise: 5 };
const example: PlanPrivacy = { mode: "example", ...shared, clipping: "flat", minExamples: 200 };
const planOf = (privacy: PlanPrivacy | undefined): PlanInstructions =>
  fakeInstructions([fakeRole("a", [2])], {
    training: trainingSchema.parse({ localSteps: 10, batchSize: 5, gradientAccumulation: 4 }),
    privacy,
  });
const gaussian = (noiseMultiplier: number, count = 1): readonly PrivacyEvent[] => [
  { mechanism: { kind: "gaussian", noiseMultiplier }, count },
];
const unbounded: readonly PrivacyEvent[] = [{ mechanism: { kind: "unbounded", reason: "none" }, count: 1 }];

describe("what a plan releases", () => {
  test("of DP-SGD is a sampled Gaussian per step, at the largest rate that minExamples leaves", () => {
    const mechanism = { kind: "sampled-gaussian", noiseMultiplier: 2, samplingRate: 0.1 };

    expect(releasedEvents(planOf(example), "train")).toEqual([{ mechanism, count: 10 }]);
  });

  test("of local noise is one Gaussian, of a coordinator's half of it, since other data move the sum by twice as much", () => {
    expect(releasedEvents(planOf({ mode: "local", ...shared }), "train")).toEqual(gaussian(2));
    expect(releasedEvents(planOf({ mode: "client", ...shared }), "train")).toEqual(gaussian(1));
  });

  test("of an evaluation is the noise of its counts", () => {
    expect(releasedEvents(planOf(example), "evaluate")).toEqual(gaussian(5));
  });

  test("without privacy has no bound, and why is what the accountant tells", () => {
    const unnoised = planOf({ mode: "local", noiseMultiplier: 2, clipNorm: 1, delta: 1e-5 });
    for (const [events, reason] of [
      [releasedEvents(planOf(undefined), "train"), "a plan without privacy"],
      [releasedEvents(planOf(undefined), "evaluate"), "a plan without privacy"],
      [releasedEvents(unnoised, "evaluate"), "an evaluation without noise"],
    ] as const) {
      expect(createAccountant("rdp").epsilon(events, 1e-5)).toEqual({ epsilon: Infinity, warnings: [reason] });
    }
  });
});

describe("the owner's policy", () => {
  test.each([
    [undefined, "none", true],
    ["example", "example", true],
    ["example", "local", false],
    [["example", "local"], "local", true],
    [["example", "local"], "client", false],
    [["example", "local"], "none", false],
  ] as const)("requiring %j, mode %s is allowed: %s", (require, mode, isAllowed) => {
    const check = (): void => assertPrivacyAllowed(require === undefined ? {} : { require }, mode, [], unbounded);

    if (isAllowed) {
      expect(check).not.toThrow();
      return;
    }
    const message = `privacy mode ${mode} is not one that the owner requires: ${[require].flat().join(", ")}`;
    expect(check).toThrow(expect.objectContaining({ code: "policy-declined", message }));
  });

  test("spends no more than it allows, over all that was released", () => {
    const delta = 1e-5;
    const epsilonOf = (count: number): number => createAccountant("pld").epsilon(gaussian(5, count), delta).epsilon;
    const policy = { maxEpsilon: (epsilonOf(3) + epsilonOf(4)) / 2, delta };
    const check = (spent: number) => () => assertPrivacyAllowed(policy, "local", gaussian(5, spent), gaussian(5));

    expect(check(2)).not.toThrow();
    expect(check(3)).toThrow(
      expect.objectContaining({
        code: "privacy-budget",
        message:
          `the plan would bring epsilon of the data set from ${epsilonOf(3).toPrecision(4)} to ` +
          `${epsilonOf(4).toPrecision(4)} at delta 0.00001, the owner allows ${policy.maxEpsilon}`,
        details: {
          spent: String(epsilonOf(3)),
          epsilon: String(epsilonOf(4)),
          maxEpsilon: String(policy.maxEpsilon),
        },
      }),
    );
    const exactly = { maxEpsilon: epsilonOf(4), delta };
    expect(() => assertPrivacyAllowed(exactly, "local", gaussian(5, 3), gaussian(5))).not.toThrow();
  });

  test("without a limit spends whatever is asked, also where it names a delta to be told epsilon at", () => {
    expect(() => assertPrivacyAllowed({ delta: 1e-5 }, "local", gaussian(5, 3), gaussian(0.01))).not.toThrow();
  });

  test("with a limit allows nothing that has no bound, nor anything after it", () => {
    const policy = { maxEpsilon: 1000, delta: 1e-5 };
    const refusal = expect.objectContaining({ code: "privacy-budget", message: expect.stringContaining("infinity") });

    expect(() => assertPrivacyAllowed(policy, "none", [], unbounded)).toThrow(refusal as Error);
    expect(() => assertPrivacyAllowed(policy, "local", unbounded, gaussian(50))).toThrow(refusal as Error);
  });

  test.each([
    [{ maxEpsilon: 0, delta: 1e-5 }, "maxEpsilon", "0 must be a finite number above 0"],
    [{ maxEpsilon: Infinity, delta: 1e-5 }, "maxEpsilon", "Infinity must be a finite number above 0"],
    [{ maxEpsilon: 1 }, "delta", "is missing; maxEpsilon needs it"],
    [{ maxEpsilon: 1, delta: 1 }, "delta", "1 must be above 0 and below 1"],
    [{ delta: 0 }, "delta", "0 must be above 0 and below 1"],
    [{ require: [] }, "require", "must name a mode"],
    [{ require: "exmaple" as never }, "require", '"exmaple" must be example, client or local'],
  ])("%j makes no sense", (policy, field, problem) => {
    const option = `policy.privacy.${field}`;
    expect(() => assertPrivacyPolicy(policy)).toThrow(
      expect.objectContaining({ code: "config-invalid", message: `${option} ${problem}`, details: { option } }),
    );
  });

  test.each([
    {},
    { require: "local" },
    { require: ["example", "client", "local"] },
    { delta: 1e-5 },
    { maxEpsilon: 1e-9, delta: 0.999 },
  ] as const)("%j makes sense", (policy) => {
    expect(() => assertPrivacyPolicy(policy)).not.toThrow();
  });
});

test("epsilon is told per data set; withdrawn entries cost nothing", () => {
  const entry = (dataSet: string, state: LedgerEntry["state"]): LedgerEntry =>
    ({ id: 0, dataSet, state, events: gaussian(2) }) as unknown as LedgerEntry;

  const spent = privacySpent([entry("mail", "spent"), entry("photos", "withdrawn"), entry("mail", "reserved")], 1e-5);

  const expected = createAccountant("pld").epsilon(gaussian(2, 2), 1e-5).epsilon;
  expect(spent.map(({ dataSet, bound, entries }) => [dataSet, bound.epsilon, entries.length])).toEqual([
    ["mail", expected, 2],
    ["photos", 0, 1],
  ]);
});
