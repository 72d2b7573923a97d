import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { taskSchema } from "../run-spec/schema.js";
import type { TaskSpec } from "../run-spec/schema.js";
import type { EvaluationCounts, UpdateMetrics } from "./client-update.js";
import { assertEvaluationCounts, assertUpdateMetrics, emptyCounts, evaluationMetrics, mergeCounts } from "./metrics.js";

const golden = JSON.parse(
  readFileSync(new URL("../../../testdata/core/metrics/cases.json", import.meta.url), "utf8"),
) as { cases: { labels: number; positive: number; pairs: [number, number][]; accuracy: number; f1: number }[] };

const classifying = (size: number, positive?: number): TaskSpec => {
  const labels = Array.from({ length: size }, (_, i) => `label ${i}`);
  return taskSchema.parse({
    kind: "sequence-classification",
    labels,
    positiveLabel: positive === undefined ? undefined : labels[positive],
  });
};
const language = taskSchema.parse({ kind: "causal-lm" });

const countsOf = (size: number, pairs: readonly (readonly [number, number])[]): EvaluationCounts => {
  const confusion = new Array<number>(size * size).fill(0);
  for (const [truth, predicted] of pairs) confusion[truth * size + predicted]! += 1;
  return { count: pairs.length, lossSum: pairs.length / 4, confusion };
};

describe("metrics", () => {
  test.each(golden.cases)("of $labels labels, positive $positive, are those of the definition", (row) => {
    const metrics = evaluationMetrics(classifying(row.labels, row.positive), countsOf(row.labels, row.pairs));

    expect(metrics.accuracy).toBeCloseTo(row.accuracy, 12);
    expect(metrics.f1).toBeCloseTo(row.f1, 12);
    expect(metrics.loss).toBe(0.25);
  });

  test("take the last label as the positive one unless the task says otherwise", () => {
    const counts = countsOf(2, [
      [1, 1],
      [0, 1],
    ]);

    expect(evaluationMetrics(classifying(2), counts).f1).toBe(evaluationMetrics(classifying(2, 1), counts).f1);
    expect(evaluationMetrics(classifying(2, 0), counts).f1).toBe(0);
  });

  test("of nothing, and of language, are undefined where there is nothing to tell", () => {
    expect(evaluationMetrics(classifying(2), emptyCounts(classifying(2)))).toEqual({ count: 0 });
    expect(evaluationMetrics(language, { count: 4, lossSum: 2, confusion: [] })).toEqual({ count: 4, loss: 0.5 });
  });
});

describe("merging", () => {
  test("gives the counts of one evaluation over all the data", () => {
    const pair = fc.tuple(fc.nat(2), fc.nat(2));
    fc.assert(
      fc.property(fc.array(fc.array(pair)), (parts) => {
        const merged = mergeCounts(
          classifying(3),
          parts.map((pairs) => countsOf(3, pairs)),
        );

        expect(merged).toEqual(countsOf(3, parts.flat()));
        expect(() => assertEvaluationCounts(classifying(3), merged)).not.toThrow();
      }),
    );
  });

  test("works without labels", () => {
    const part = { count: 10, lossSum: 1.5, confusion: [] };

    expect(mergeCounts(language, [part, part])).toEqual({ count: 20, lossSum: 3, confusion: [] });
  });
});

describe("counts from a client are refused", () => {
  const good: EvaluationCounts = { count: 3, lossSum: 1, confusion: [1, 1, 0, 1] };
  test.each<[string, Partial<EvaluationCounts>, string]>([
    ["with a NaN loss", { lossSum: NaN }, "evaluation.lossSum"],
    ["with an infinite loss", { lossSum: Infinity }, "evaluation.lossSum"],
    ["with a negative loss", { lossSum: -1 }, "evaluation.lossSum"],
    ["with a negative count", { count: -3 }, "evaluation.count"],
    ["with half an example", { count: 2.5 }, "evaluation.count"],
    ["with a matrix of another size", { confusion: [3] }, "evaluation.confusion"],
    ["without a matrix", { confusion: [] }, "evaluation.confusion"],
    ["with a negative cell", { confusion: [-1, 1, 2, 1] }, "evaluation.confusion[0]"],
    ["with a NaN cell", { confusion: [1, 1, NaN, 1] }, "evaluation.confusion[2]"],
    ["with a matrix that adds up to something else", { confusion: [1, 1, 1, 1] }, "evaluation.confusion"],
    ["with a loss over nothing", { count: 0, confusion: [0, 0, 0, 0] }, "evaluation.lossSum"],
  ])("%s", (_, change, field) => {
    const check = (): void => assertEvaluationCounts(classifying(2), { ...good, ...change });

    expect(() => assertEvaluationCounts(classifying(2), good)).not.toThrow();
    expect(check).toThrow(expect.objectContaining({ code: "update-metrics", details: { field } }));
  });

  test("for language with a matrix", () => {
    expect(() => assertEvaluationCounts(language, good)).toThrow(/has 4 cells, the task needs 0/);
  });
});

describe("what travels beside an update is refused", () => {
  const good: UpdateMetrics = { numExamples: 5, numSteps: 2, trainLoss: 0.5, evaluation: undefined, trainMs: 12.5 };
  test.each<[Partial<UpdateMetrics>, string]>([
    [{ numExamples: 0 }, "update-weight"],
    [{ numExamples: 1.5 }, "update-weight"],
    [{ numExamples: NaN }, "update-weight"],
    [{ numExamples: 2 ** 60 }, "update-weight"],
    [{ numSteps: -1 }, "update-metrics"],
    [{ trainLoss: NaN }, "update-metrics"],
    [{ trainMs: Infinity }, "update-metrics"],
    [{ receivedLoss: NaN }, "update-metrics"],
    [{ receivedLoss: -0.5 }, "update-metrics"],
    [{ evaluation: { count: 1, lossSum: NaN, confusion: [] } }, "update-metrics"],
  ])("%j by %s", (change, code) => {
    const check = (): void => assertUpdateMetrics(classifying(2), { ...good, ...change });

    expect(() => assertUpdateMetrics(classifying(2), good)).not.toThrow();
    expect(() => assertUpdateMetrics(classifying(2), { ...good, trainLoss: undefined })).not.toThrow();
    expect(check).toThrow(expect.objectContaining({ code }));
  });
});
