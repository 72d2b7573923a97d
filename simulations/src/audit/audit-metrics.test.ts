import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { empiricalEpsilon } from "./empirical-epsilon.js";
import { summariseRoc } from "./roc.js";

interface Golden {
  readonly bounds: readonly {
    readonly candidates: number;
    readonly made: number;
    readonly correct: number;
    readonly delta: number;
    readonly confidence: number;
    readonly epsilon: number;
  }[];
  readonly clopperPearson: readonly { readonly made: number; readonly correct: number; readonly epsilon: number }[];
  readonly curves: readonly {
    readonly members: readonly number[];
    readonly others: readonly number[];
    readonly auc: number;
    readonly rates: readonly (readonly [number, number])[];
  }[];
}

const file = new URL("../../../testdata/audit/golden.json", import.meta.url);
const golden = JSON.parse(await readFile(file, "utf8")) as Golden;

test.each(golden.bounds)("$correct of $made guesses right, delta $delta: epsilon at least $epsilon", (row) => {
  expect(empiricalEpsilon(row, row.delta, row.confidence)).toBeCloseTo(row.epsilon, 7);
});

test.each(golden.clopperPearson)("without delta it is Clopper and Pearson's bound: $correct of $made", (row) => {
  const bound = empiricalEpsilon({ ...row, candidates: row.made }, 0, 0.95);
  expect(bound).toBeCloseTo(Math.max(0, row.epsilon), 7);
});

test("no guess, or wrong ones, prove nothing", () => {
  expect(empiricalEpsilon({ candidates: 50, made: 0, correct: 0 }, 1e-5, 0.95)).toBe(0);
  expect(empiricalEpsilon({ candidates: 50, made: 20, correct: 0 }, 1e-5, 0.95)).toBe(0);
});

describe.each(golden.curves)("ROC with an area of $auc", ({ members, others, auc, rates }) => {
  test("area", () => {
    expect(summariseRoc(members, others, 0.01).auc).toBeCloseTo(auc, 12);
  });

  test.each(rates)("at %f false positives %f of the members are found", (allowed, found) => {
    const { truePositiveRate, falsePositiveRate } = summariseRoc(members, others, allowed);
    expect(truePositiveRate).toBeCloseTo(found, 12);
    expect(falsePositiveRate).toBeLessThanOrEqual(allowed);
  });
});
