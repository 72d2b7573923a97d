import type { BaseModelHash, RoundPlan } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { OwnerPolicy } from "./options.js";
import { assertPolicy, isWithinHours, policyRefusal, type PolicyFacts } from "./policy.js";

const own = "ab".repeat(32) as BaseModelHash;
const plan = {
  method: { name: "fedavg", version: 1 },
  baseModelHash: own,
  downloadBytes: 1000,
  uploadBytes: 500,
} as RoundPlan;
const facts: PolicyFacts = { ownBaseModel: own, localHour: 12, downloadBytes: 1000 };

test("a policy without rules allows a plan for the client's own model", () => {
  expect(policyRefusal({}, plan, facts)).toBeUndefined();
});

test.each<[string, OwnerPolicy, Partial<RoundPlan>, Partial<PolicyFacts>, string]>([
  ["another method", { methods: ["fedprox"] }, {}, {}, "fedavg"],
  ["any method", { methods: [] }, {}, {}, "(none)"],
  ["another model", {}, { baseModelHash: "cd".repeat(32) as BaseModelHash }, {}, "cdcd"],
  ["its own model, where the owner names others", { baseModels: ["ef".repeat(32)] }, {}, {}, "efef"],
  ["a large download", { maxDownloadBytes: 999 }, {}, {}, "999"],
  ["blobs larger than the envelope says", { maxDownloadBytes: 1000 }, {}, { downloadBytes: 1001 }, "1001"],
  ["what is not merged already", { maxDownloadBytes: 600 }, {}, { mergedBytes: 399 }, "601"],
  ["a large upload", { maxUploadBytes: 499 }, {}, {}, "499"],
  ["a gigabyte without being asked", {}, { uploadBytes: 2 ** 30 + 1 }, {}, "1073741824"],
  ["the wrong hour", { hours: { from: 20, to: 7 } }, {}, {}, "20 to 7"],
])("%s is refused in words that name it", (_, policy, planChanges, factChanges, word) => {
  const refusal = policyRefusal(policy, { ...plan, ...planChanges }, { ...facts, ...factChanges });

  expect(refusal).toContain(word);
});

describe("hours", () => {
  test.each([
    [20, 7, 23.9, true],
    [20, 7, 0, true],
    [20, 7, 6.99, true],
    [20, 7, 7, false],
    [20, 7, 19.99, false],
    [9, 17, 9, true],
    [9, 17, 17, false],
    [0, 24, 23.99, true],
    [8, 8, 8, false],
    [22, 0, 23, true],
    [22, 0, 0, false],
  ])("from %d to %d, at %d: %s", (from, to, hour, expected) => {
    expect(isWithinHours({ from, to }, hour)).toBe(expected);
  });

  test("and the hours the other way round share the day without a gap", () => {
    const hour = fc.double({ min: 0, max: 24, maxExcluded: true, noNaN: true });
    const edge = fc.integer({ min: 0, max: 24 });
    fc.assert(
      fc.property(edge, edge, hour, (a, b, at) => {
        fc.pre(a % 24 !== b % 24);
        const [from, to] = [a % 24, b % 24];
        expect(isWithinHours({ from, to }, at)).toBe(!isWithinHours({ from: to, to: from }, at));
      }),
    );
  });
});

test.each<OwnerPolicy>([
  { hours: { from: -1, to: 7 } },
  { hours: { from: 0, to: 25 } },
  { hours: { from: Number.NaN, to: 7 } },
  { maxUploadBytes: -1 },
  { maxDownloadBytes: Number.NaN },
])("%j is no policy", (policy) => {
  expect(() => assertPolicy(policy)).toThrow(expect.objectContaining({ code: "config-invalid" }));
});
