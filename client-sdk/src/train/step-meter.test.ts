import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DepthCost } from "./depth-cost.js";
import { RunTimes, StepMeter, trainedDepth } from "./step-meter.js";

const cost = fc.double({ min: 0.01, max: 1e4, noNaN: true });
const run = (batch: number, length: number, activationBytes = 0) =>
  ({ request: { batch, length }, activationBytes }) as Parameters<RunTimes["add"]>[0];
const timesOf = (
  ...runs: readonly (readonly [batch: number, length: number, ms: number, bytes?: number])[]
): RunTimes => {
  const times = new RunTimes();
  for (const [batch, length, ms, bytes] of runs) times.add(run(batch, length, bytes), ms);
  return times;
};

describe("cost by depth", () => {
  test("a forward pass and a training at any depth give both terms back, at any depth later", () => {
    fc.assert(
      fc.property(
        cost,
        cost,
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        (f, layer, k, later) => {
          const costs = new DepthCost();
          costs.measuredForward(f);
          const first = costs.measuredTraining(f + k * layer, k)!;
          expect(first.forward).toBeCloseTo(f, 6);
          expect(first.layer).toBeCloseTo(layer, 6);
          // On a machine that is twice as busy, a round of another depth.
          const second = costs.measuredTraining(2 * (f + later * layer), later)!;
          if (2 * (f + later * layer) <= f) return;
          expect(second.forward + later * second.layer).toBeCloseTo(2 * (f + later * layer), 6);
        },
      ),
    );
  });

  test("before any forward pass the share that was given counts; nothing given, nothing said", () => {
    expect(new DepthCost(0.25).measuredTraining(30, 2)).toEqual({ forward: 20, layer: 5 });
    expect(new DepthCost().measuredTraining(30, 2)).toBeUndefined();
    expect(new DepthCost(0.25).measuredTraining(30, 0)).toBeUndefined();
  });

  test("a training that was cheaper than a forward pass keeps the share, and what is no time changes nothing", () => {
    const costs = new DepthCost();
    costs.measuredForward(10);
    costs.measuredTraining(20, 2);
    for (const none of [0, Number.NaN, -1, Infinity]) costs.measuredForward(none);
    expect(costs.measuredTraining(8, 2)).toEqual({ forward: 4, layer: 2 });
    expect(costs.measuredTraining(Number.NaN, 2)).toBeUndefined();
  });
});

test("the first run, which fills caches, does not count where there are others; of these the middle one does", () => {
  expect(timesOf([2, 5, 100], [2, 5, 10], [2, 10, 60], [2, 5, 20]).msPerToken).toBe(2);
  expect(timesOf([2, 5, 100], [2, 5, 10], [2, 5, 30]).msPerToken).toBe(2);
  expect(timesOf([2, 5, 100]).msPerToken).toBe(10);
});

test("a round's batches set what is reported: mean tokens for time, the largest for memory", () => {
  const meter = new StepMeter({ numLayers: 4, weightBytes: 1000 });
  meter.measuredForward(timesOf([4, 64, 256, 2560], [4, 64, 256, 2560]));
  const probe = meter.measuredTraining(timesOf([4, 64, 768, 7680], [4, 64, 768, 7680]), 4);
  expect(probe).toEqual({
    forwardMs: 256,
    layerMs: 128,
    batchTokens: 256,
    forwardBytes: 1000 + 2560,
    layerBytes: 1280,
  });
  const round = meter.measuredTraining(timesOf([1, 10, 15, 150], [1, 10, 15, 150], [1, 40, 60, 600]), 1);
  expect(round).toEqual({ forwardMs: 20, layerMs: 10, batchTokens: 20, forwardBytes: 1000 + 400, layerBytes: 200 });
});

test("without a probe a backward pass counts as long as a forward pass, and memory is not known", () => {
  const meter = new StepMeter({ numLayers: 4, weightBytes: 1000 });
  const round = meter.measuredTraining(timesOf([1, 10, 30, 100]), 4);
  expect(round).toEqual({
    forwardMs: 15,
    layerMs: 3.75,
    batchTokens: 10,
    forwardBytes: undefined,
    layerBytes: undefined,
  });
  expect(meter.measuredTraining(timesOf([1, 10, 30]), 0)).toBeUndefined();
});

test("depth counts adapted layers, from the lowest trained one to the output", () => {
  const modules = [0, 1, 2, 3].flatMap((layer) =>
    ["q", "v"].map((kind) => ({ name: `${layer}.${kind}`, kind: "linear" as const, dIn: 1, dOut: 1, layer })),
  );
  const adapted = (...trained: string[]) =>
    modules.filter(({ layer }) => layer !== 0).map(({ name }) => ({ name, rank: 1, trained: trained.includes(name) }));
  expect(trainedDepth(adapted("3.q"), modules)).toBe(1);
  expect(trainedDepth(adapted("1.v", "3.q"), modules)).toBe(3);
  expect(trainedDepth(adapted(), modules)).toBe(0);
});
