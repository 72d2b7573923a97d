import { taskSchema, trainingSchema } from "@fedlora/core";
import { expect, test } from "vitest";
import { dataOf } from "../testing/tiny-models.js";
import { drawPoissonSteps, poissonBatches, type PoissonSteps } from "./poisson-steps.js";

const numExamples = 200;
const examples = Array.from({ length: numExamples }, (_, i) => ({ text: String(i), label: i % 2 }));
/** One token, the example's own number. */
const tokenizer = {
  padTokenId: 0,
  bosTokenId: undefined,
  eosTokenId: undefined,
  encode: (text: string) => [Number(text)],
  decode: String,
};
const task = taskSchema.parse({ kind: "sequence-classification", labels: ["a", "b"], maxTokens: 128 });

const draw = (
  settings: { localSteps: number; batchSize: number; gradientAccumulation?: number },
  others: { data?: readonly unknown[]; minExamples?: number; key?: number } = {},
): Promise<PoissonSteps> =>
  drawPoissonSteps(
    {
      data: dataOf(others.data ?? examples),
      task,
      training: trainingSchema.parse(settings),
      tokenizer,
      minExamples: others.minExamples ?? 1,
      key: new Uint8Array(32).fill(others.key ?? 1),
    },
    new AbortController().signal,
    () => Promise.resolve(),
  );

/** Limit of a standard normal that one fixed key in 10^9 would miss. */
const limit = 6.11;

test("every example is in every batch with the same probability, whatever else is in it", async () => {
  const localSteps = 2000;
  const { steps, samplingRate } = await draw({ localSteps, batchSize: 5, gradientAccumulation: 4 });

  expect(samplingRate).toBe(0.1);
  const taken = new Array<number>(numExamples).fill(0);
  for (const { microBatches } of steps) for (const { tokens } of microBatches.flat()) taken[tokens[0]!]! += 1;
  const std = Math.sqrt(localSteps * 0.1 * 0.9);
  for (const count of taken) expect(Math.abs(count - 200)).toBeLessThan(limit * std);
  // Sizes are those of independent coins: mean n q, variance n q (1 - q).
  const sizes = steps.map(({ numTargets }) => numTargets);
  const mean = sizes.reduce((sum, size) => sum + size, 0) / localSteps;
  const variance = sizes.reduce((sum, size) => sum + (size - mean) ** 2, 0) / (localSteps - 1);
  expect(Math.abs(mean - 20)).toBeLessThan(limit * Math.sqrt(18 / localSteps));
  expect(Math.abs(variance / 18 - 1)).toBeLessThan(limit * Math.sqrt(2.1 / localSteps));
});

test("batches may be empty, and come in micro-batches of the batch size, no example twice", async () => {
  const { steps, numExamples: counted } = await draw({ localSteps: 400, batchSize: 2 });

  expect(counted).toBe(numExamples);
  expect(steps.filter(({ microBatches }) => microBatches.length === 0).length).toBeGreaterThan(20);
  for (const { microBatches, numTargets } of steps) {
    const taken = microBatches.flat().map(({ tokens }) => tokens[0]);
    expect(new Set(taken).size).toBe(numTargets);
    expect(microBatches.every((rows) => rows.length <= 2)).toBe(true);
  }
});

test("the positions that a step takes are those of examples, rising", () => {
  const batchesOf = (batchSize: number): number[][] => {
    const training = trainingSchema.parse({ localSteps: 50, batchSize });
    const key = new Uint8Array(32).fill(3);
    return Array.from(poissonBatches(8, { name: "tiny", training, minExamples: 8, key }).batches, (taken) => [
      ...taken,
    ]);
  };

  expect(batchesOf(8)).toEqual(new Array(50).fill([0, 1, 2, 3, 4, 5, 6, 7]));
  const some = batchesOf(2);
  for (const taken of some) expect(taken).toEqual([0, 1, 2, 3, 4, 5, 6, 7].filter((at) => taken.includes(at)));
  expect(new Set(some.flat()).size).toBe(8);
});

test("an example that has nothing to learn from is none of those that the rate counts", async () => {
  const data = [{ text: "one two three" }, { text: "alone" }, { text: "one two" }];
  const training = trainingSchema.parse({ localSteps: 4, batchSize: 1 });
  const words = { ...tokenizer, encode: (text: string) => text.split(" ").map((_, i) => i) };
  const request = { data: dataOf(data), task: taskSchema.parse({ kind: "causal-lm" }), training, tokenizer: words };
  const drawn = (minExamples: number): Promise<PoissonSteps> =>
    drawPoissonSteps({ ...request, minExamples, key: new Uint8Array(32) }, new AbortController().signal, () =>
      Promise.resolve(),
    );

  expect(await drawn(2)).toMatchObject({ numExamples: 2, samplingRate: 0.5 });
  await expect(drawn(3)).rejects.toMatchObject({ code: "privacy-invalid" });
});

test("a rate of 1 takes everything", async () => {
  const { steps, samplingRate, buckets } = await draw({ localSteps: 3, batchSize: 50, gradientAccumulation: 4 });

  expect(samplingRate).toBe(1);
  // Rows of one token fit the shortest bucket there is.
  expect(buckets).toEqual([32]);
  expect(steps.map(({ numTargets }) => numTargets)).toEqual([200, 200, 200]);
});

test("the key decides what is taken", async () => {
  const sizes = async (key: number): Promise<number[]> =>
    (await draw({ localSteps: 50, batchSize: 20 }, { key })).steps.map(({ numTargets }) => numTargets);

  expect(await sizes(1)).toEqual(await sizes(1));
  expect(await sizes(1)).not.toEqual(await sizes(2));
});

test("fewer examples than the plan's privacy counts on are refused", async () => {
  const settings = { localSteps: 1, batchSize: 20 };

  await expect(draw(settings, { minExamples: 201 })).rejects.toMatchObject({
    code: "privacy-invalid",
    message: 'data set "tiny" has 200 usable examples, the plan\'s privacy needs 201',
  });
  await expect(draw(settings, { data: examples.slice(0, 19) })).rejects.toMatchObject({ code: "privacy-invalid" });
  expect((await draw(settings, { minExamples: 200 })).numExamples).toBe(200);
});
