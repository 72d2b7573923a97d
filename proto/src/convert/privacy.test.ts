import type { PrivacyEvent } from "@fedlora/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { adminService } from "../definitions.js";
import type { GetPrivacyResponse, GetPrivacyResponse__Output } from "../gen/fedlora/v1/GetPrivacyResponse.js";
import { limits } from "../limits.js";
import { privacyPageFromWire, privacyReportToWire } from "./privacy.js";
import type { PrivacyPage, PrivacyReport } from "./privacy.js";

const { GetPrivacy } = adminService;
const received = (wire: GetPrivacyResponse): GetPrivacyResponse__Output =>
  GetPrivacy.responseDeserialize(GetPrivacy.responseSerialize(wire));

const positive = fc.double({ min: 1e-6, max: 1e6, noNaN: true });
const share = fc.double({ min: 1e-9, max: 1, noNaN: true });
const epsilon = fc.oneof(fc.double({ min: 0, max: 1e9, noNaN: true }).map(Math.abs), fc.constant(Infinity));
const optional = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });
const mechanism: fc.Arbitrary<PrivacyEvent["mechanism"]> = fc.oneof(
  fc.record({ kind: fc.constant("gaussian" as const), noiseMultiplier: positive }),
  fc.record({ kind: fc.constant("sampled-gaussian" as const), noiseMultiplier: positive, samplingRate: share }),
  fc.record({ kind: fc.constant("unbounded" as const), reason: fc.string({ maxLength: 20 }) }),
);
const account = fc.record({
  accountant: fc.constantFrom("pld" as const, "rdp" as const),
  delta: share,
  epsilonSpent: epsilon,
  epsilonSpentLower: optional(epsilon),
  epsilonSettled: epsilon,
  epsilonBudget: optional(positive),
  noiseMultiplier: positive,
  isNoiseSolved: fc.boolean(),
  clipNorm: positive,
  samplingRate: optional(share),
  events: fc.array(fc.record({ mechanism, count: fc.integer({ min: 1, max: 1e9 }) }), { maxLength: 3 }),
  warnings: fc.array(fc.string({ maxLength: 30 }), { maxLength: 2 }),
});
const roundAt = (round: number) =>
  fc.record({ round: fc.constant(round), epsilon, clipNorm: positive, unclippedShare: optional(share) });
const rounds = fc.nat(5).chain((count) => fc.tuple(...Array.from({ length: count }, (_, i) => roundAt(i + 1))));
const report = fc.record({
  mode: fc.constantFrom("example" as const, "client" as const, "local" as const),
  account,
  rounds,
});

test("a privacy report arrives as it was sent, infinite epsilons too", () => {
  fc.assert(
    fc.property(report, (sent) => {
      expect(privacyPageFromWire(received(privacyReportToWire(sent)))).toEqual({ ...sent, hasMoreRounds: false });
    }),
  );
  expect(privacyPageFromWire(received(privacyReportToWire({ mode: "none" })))).toEqual({
    mode: "none",
    hasMoreRounds: false,
  });
});

test("rounds beyond one message come page by page", () => {
  const [one] = fc.sample(report, { numRuns: 1, seed: 1 });
  const many = Array.from({ length: 250 }, (_, i) => ({
    round: i + 1,
    epsilon: i,
    clipNorm: 1,
    unclippedShare: undefined,
  }));
  const whole: PrivacyReport = { ...one!, rounds: many };
  const page = (after: number): Exclude<PrivacyPage, { mode: "none" }> => {
    const answer = privacyPageFromWire(received(privacyReportToWire(whole, after)));
    if (answer.mode === "none") throw new Error("no page");
    return answer;
  };
  expect(page(0)).toMatchObject({ hasMoreRounds: true });
  expect([...page(0).rounds, ...page(limits.listEntries).rounds]).toEqual(many);
  expect(page(limits.listEntries).hasMoreRounds).toBe(false);
});

test("what cannot be an epsilon is refused by its field", () => {
  const [one] = fc.sample(report, { numRuns: 1, seed: 2 });
  for (const epsilonSpent of [NaN, -1]) {
    const wire = received(privacyReportToWire({ ...one!, account: { ...one!.account, epsilonSpent } }));
    expect(() => privacyPageFromWire(wire)).toThrow(
      expect.objectContaining({ code: "request-invalid", details: { field: "account.epsilon_spent" } }),
    );
  }
});
