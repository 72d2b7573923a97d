import { describe, expect, test } from "vitest";
import { planSteps, type StepPlanRequest } from "./plan-steps.js";

/** Epoch 0 visits 0, 1, 2, ...; every later one the same backwards. */
const plan = (numExamples: number, others: Partial<StepPlanRequest>) => {
  const seen: number[] = [];
  const steps = planSteps({
    numExamples,
    examplesPerStep: 2,
    limit: { epochs: 1 },
    orderOf: (epoch) => {
      const order = Array.from({ length: numExamples }, (_, index) => index);
      return epoch === 0 ? order : order.reverse();
    },
    isUsable: (index) => {
      seen.push(index);
      return Promise.resolve(true);
    },
    ...others,
  });
  return { steps, seen };
};

describe("steps", () => {
  test("every epoch visits every example once; its last step may be short", async () => {
    const { steps } = plan(5, { limit: { epochs: 2 } });

    expect(await steps).toEqual([
      { epoch: 0, examples: [0, 1] },
      { epoch: 0, examples: [2, 3] },
      { epoch: 0, examples: [4] },
      { epoch: 1, examples: [4, 3] },
      { epoch: 1, examples: [2, 1] },
      { epoch: 1, examples: [0] },
    ]);
  });

  test("a limit in steps ends within an epoch and looks at no example whose turn never comes", async () => {
    const { steps, seen } = plan(1000, { limit: { steps: 2 } });

    expect(await steps).toHaveLength(2);
    expect(seen).toEqual([0, 1, 2, 3]);
  });

  test("a limit in steps runs through as many epochs as it needs", async () => {
    const { steps } = plan(3, { limit: { steps: 5 } });

    expect((await steps).map(({ epoch, examples }) => [epoch, examples.length])).toEqual([
      [0, 2],
      [0, 1],
      [1, 2],
      [1, 1],
      [2, 2],
    ]);
  });

  test("examples that cannot be learnt from are passed over", async () => {
    const { steps } = plan(6, { isUsable: (index) => Promise.resolve(index % 2 === 1) });

    expect((await steps).map(({ examples }) => examples)).toEqual([[1, 3], [5]]);
  });

  test("none at all is an error, not an endless search", async () => {
    const { steps } = plan(3, { limit: { steps: 1 }, isUsable: () => Promise.resolve(false) });

    await expect(steps).rejects.toMatchObject({ code: "data-empty" });
  });
});
