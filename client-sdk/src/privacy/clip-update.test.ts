import { codecOf, fromFloat32, openEncoded, type PlanInstructions, type PlanPrivacy, toFloat32 } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { computeUpdate, type LocalUpdate } from "../client/local-update.js";
import { fakeInstructions, fakeRole } from "../testing/fake-plan.js";
import { privatizeUpdate } from "./clip-update.js";
import { seededSecrets } from "./secrets.js";

const shared = { noiseMultiplier: 1, clipNorm: 2, delta: 1e-5 };
const planOf = (
  privacy: PlanPrivacy | undefined,
  size = 3,
  changes: Partial<PlanInstructions> = {},
): PlanInstructions => {
  const kept = fakeRole("kept", [1], { uploaded: false });
  return fakeInstructions([fakeRole("a", [size]), fakeRole("b", [2]), kept], { privacy, ...changes });
};
const stateOf = (a: readonly number[], b: readonly number[]): StateDict =>
  new Map([
    ["a", fromFloat32(Float32Array.from(a), [a.length])],
    ["b", fromFloat32(Float32Array.from(b), [b.length])],
    ["kept", fromFloat32(Float32Array.of(1e6), [1])],
  ]);
const zeros = (size = 3): StateDict => stateOf(new Array<number>(size).fill(0), [0, 0]);
const flat = (state: StateDict): number[] =>
  [...state].filter(([name]) => name !== "kept").flatMap(([, tensor]) => [...toFloat32(tensor)]);
const norm = (values: readonly number[]): number => Math.hypot(...values);
const update = (
  instructions: PlanInstructions,
  trained: StateDict,
  options: { leftOut?: StateDict; seed?: number; size?: number } = {},
): LocalUpdate =>
  computeUpdate(instructions, zeros(options.size), trained, options.leftOut, seededSecrets(options.seed ?? 1));

describe("mode client", () => {
  const plan = planOf({ mode: "client", ...shared });

  test("brings the whole upload to the clip norm, its direction kept, and leaves a short one as it is", () => {
    expect(flat(update(plan, stateOf([3, 0, 0], [0, 4])).update)).toEqual([1.2, 0, 0, 0, 1.6].map(Math.fround));
    expect(flat(update(plan, stateOf([1, 0, 0], [0, 1])).update)).toEqual([1, 0, 0, 0, 1]);
  });

  test("whatever was trained", () => {
    const value = fc.float({ min: -1e6, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(fc.array(value, { minLength: 5, maxLength: 5 }), (values) => {
        const sent = flat(update(plan, stateOf(values.slice(0, 3), values.slice(3))).update);

        expect(norm(sent)).toBeLessThanOrEqual(2 * (1 + 1e-6));
      }),
    );
  });

  test("clips what the codec left out before together with the change", () => {
    const lossy = planOf({ mode: "client", ...shared }, 3, { codec: "topk:.4", errorFeedback: true });

    const { update: sent, residual } = update(lossy, stateOf([3, 0, 0], [0, 0]), {
      leftOut: stateOf([0, 0, 0], [0, 4]),
    });

    const received = openEncoded(codecOf("topk:.4").decoder(lossy.roles.slice(0, 2).map(({ spec }) => spec)), sent);
    const whole = ["a", "b"].flatMap((name) => {
      const left = toFloat32(residual!.get(name)!);
      return [...received(name)].map((value, i) => value + left[i]!);
    });
    expect(norm(whole)).toBeCloseTo(2, 5);
  });
});

describe("mode local", () => {
  test.each([0.3, 2.5])("adds noise of multiplier %f on a sensitivity of twice the clip norm", (noiseMultiplier) => {
    const size = 60_000;
    const plan = planOf({ mode: "local", ...shared, noiseMultiplier }, size);
    const change = new Array<number>(size).fill(0.5);

    const sent = toFloat32(update(plan, stateOf(change, [0, 0]), { size }).update.get("a")!);

    // The change, 122 long, is clipped to 2; one seed in 10^9 would give noise outside the limits.
    const clipped = 2 / Math.sqrt(size);
    const std = noiseMultiplier * 4;
    const mean = sent.reduce((sum, value) => sum + value, 0) / size;
    const variance = sent.reduce((sum, value) => sum + (value - clipped) ** 2, 0) / size;
    expect(Math.abs(mean - clipped)).toBeLessThan((6.11 * std) / Math.sqrt(size));
    expect(Math.abs(variance / std ** 2 - 1)).toBeLessThan(6.11 * Math.sqrt(2 / size));
  });

  test("draws other noise for every update", () => {
    const plan = planOf({ mode: "local", ...shared });
    const secrets = seededSecrets(3);
    const next = (): number[] => flat(computeUpdate(plan, zeros(), zeros(), undefined, secrets).update);

    expect(next()).not.toEqual(next());
  });

  test("is left out by the codec with its noise: what is kept back is no trace of the change itself", () => {
    const settings = { codec: "topk:.4", errorFeedback: true };
    const plan = planOf({ mode: "local", ...shared, noiseMultiplier: 1000 }, 3, settings);

    const { residual } = update(plan, stateOf([1e-3, 1e-3, 1e-3], [1e-3, 1e-3]), { leftOut: zeros() });

    // Noise of deviation 4000 on each value: what was left out is of that size.
    expect(norm(flat(residual!))).toBeGreaterThan(10);
  });

  test("adds what was left out after the noise, unclipped: it was noised in its own round", () => {
    const plain = { mode: "local", ...shared, noiseMultiplier: 1e-9 } as const;
    const plan = planOf(plain, 3, { codec: "topk:1", errorFeedback: true });

    const { update: sent } = update(plan, stateOf([3, 0, 0], [0, 4]), { leftOut: stateOf([0, 0, 0], [100, 0]) });

    const received = openEncoded(codecOf("topk:1").decoder(plan.roles.slice(0, 2).map(({ spec }) => spec)), sent);
    expect([...received("a"), ...received("b")].map((value) => Number(value.toFixed(4)) + 0)).toEqual([
      1.2, 0, 0, 100, 1.6,
    ]);
  });
});

test("mode example leaves the update alone: every step was clipped and noised", () => {
  const privacy = { mode: "example", ...shared, clipping: "flat", minExamples: 10 } as const;

  expect(flat(update(planOf(privacy), stateOf([30, 0, 0], [0, 40])).update)).toEqual([30, 0, 0, 0, 40]);
  const values = Float32Array.of(30, 40);
  privatizeUpdate([values], privacy, () => new Uint8Array(32));
  expect([...values]).toEqual([30, 40]);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])(
  "an update with a value of %d cannot be clipped and is refused",
  (bad) => {
    const values = [Float32Array.of(1, 2), Float32Array.of(bad)];

    expect(() => privatizeUpdate(values, { mode: "client", ...shared }, () => new Uint8Array(32))).toThrow(
      expect.objectContaining({ code: "update-not-finite", message: "an update without a finite norm" }),
    );
  },
);
