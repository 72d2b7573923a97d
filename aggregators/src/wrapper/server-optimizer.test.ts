import { fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { RunSpecInput, StateDict, TensorLayout } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { compileMethod } from "../compile-method.js";
import type { AggregationResult, Method, MethodRunState } from "../method.js";
import { aggregateInMemory, memoryUpdate, MemorySink, stateOf, testSpec } from "../testing/memory.js";
import { withServerOptimizer } from "./server-optimizer.js";

const a = "base_model.model.query.lora_A.weight";
const b = "base_model.model.query.lora_B.weight";
const layout: TensorLayout = [
  { name: a, dtype: "F32", shape: [1, 2] },
  { name: b, dtype: "F32", shape: [3, 1] },
];
const adam = { kind: "fedadam", learningRate: 0.1, beta1: 0.9, beta2: 0.99, tau: 1e-3 } as const;
const global = stateOf(layout, { [a]: [1, 1], [b]: [0, 0, 1] });
const compile = (serverOptimizer: RunSpecInput["serverOptimizer"]): Method =>
  compileMethod({ spec: testSpec({ serverOptimizer }), adapterLayout: layout, scalings: {} });
const updates = [
  memoryUpdate("u1", 1, stateOf(layout, { [a]: [-0.2, 0], [b]: [0, 0.4, -0.1] })),
  memoryUpdate("u2", 1, stateOf(layout, { [a]: [0, 0], [b]: [0, 0, -0.1] })),
];
const adapterOf = (result: AggregationResult): Extract<AggregationResult, { kind: "adapter" }> => {
  if (result.kind === "refused") throw new Error(result.message);
  return result;
};
const values = (state: StateDict, name: string): number[] => [...toFloat32(state.get(name)!)];

describe("a method with a server optimizer", () => {
  test("moves the global adapter by the optimizer's step on the aggregate", () => {
    const result = adapterOf(aggregateInMemory(compile(adam), global, updates));

    expect(values(result.global, a)[0]).toBeCloseTo(0.9090909091, 6);
    expect(values(result.global, a)[1]).toBe(1);
    expect(values(result.global, b)[2]).toBeCloseTo(0.9090909091, 6);
    expect(values(result.global, b)[1]).toBeCloseTo((0.1 * 0.02) / (0.02 + 1e-3), 6);
  });

  test("keeps first and second moments of every tensor by itself, and goes on from them", () => {
    const method = compile(adam);
    const first = adapterOf(aggregateInMemory(method, global, updates));
    const second = adapterOf(aggregateInMemory(method, global, updates, { state: first.state }));

    expect([...first.state.tensors.keys()]).toEqual([
      `server.m.${a}`,
      `server.m.${b}`,
      `server.v.${a}`,
      `server.v.${b}`,
    ]);
    expect(values(first.state.tensors, `server.m.${a}`)[0]).toBeCloseTo(-0.01, 7);
    expect(values(second.state.tensors, `server.m.${a}`)[0]).toBeCloseTo(-0.019, 7);
    expect(values(second.state.tensors, `server.v.${b}`)[2]).toBeCloseTo(1.99e-4, 9);
    expect(values(second.global, a)[0]).toBeCloseTo(1 - (0.1 * 0.019) / (Math.sqrt(1.99e-4) + 1e-3), 6);
  });

  test("takes the same step when an aggregation is repeated, bit by bit, and changes no input", () => {
    const method = compile({ ...adam, kind: "fedyogi" });
    const { state } = adapterOf(aggregateInMemory(method, global, updates));
    const before = structuredClone(state);

    const once = aggregateInMemory(method, global, updates, { state });
    const again = aggregateInMemory(method, global, updates, { state });
    const elsewhere = aggregateInMemory(compile({ ...adam, kind: "fedyogi" }), global, updates, { state });

    expect(again).toEqual(once);
    expect(elsewhere).toEqual(once);
    expect(state).toEqual(before);
  });

  test("fedavgm without momentum at rate 1 is the method itself, and keeps one moment", () => {
    const plain = adapterOf(aggregateInMemory(compile({ kind: "none" }), global, updates));
    const stepped = adapterOf(
      aggregateInMemory(compile({ kind: "fedavgm", learningRate: 1, momentum: 0 }), global, updates),
    );

    expect(stepped.global).toEqual(plain.global);
    expect([...stepped.state.tensors.keys()]).toEqual([`server.m.${a}`, `server.m.${b}`]);
  });

  test("leaves tensors that a round does not aggregate alone, with their moments, over continued passes too", () => {
    const seen: MethodRunState[] = [];
    const moved = (input: Parameters<Method["aggregate"]>[0]): StateDict =>
      input.serverStep!(toStateDict([[a, fromFloat32(Float32Array.of(0.9, 1), [1, 2])]]));
    const oneTensor = {
      ...compile({ kind: "none" }),
      aggregate: (input: Parameters<Method["aggregate"]>[0]) => {
        seen.push(input.state);
        const finish = (): AggregationResult => ({
          kind: "adapter",
          global: toStateDict([...input.global, ...moved(input)]),
          state: { version: 1, values: { round: 1 }, tensors: new Map() },
          baseDelta: undefined,
          metrics: {},
        });
        return { passes: [], finish: () => ({ kind: "continue" as const, next: { passes: [], finish } }) };
      },
    } satisfies Method;
    const kept = fromFloat32(Float32Array.of(1, 2, 3), [3, 1]);
    const state = { version: 1, values: { own: true }, tensors: new Map([[`server.m.${b}`, kept]]) };

    const result = adapterOf(aggregateInMemory(withServerOptimizer(oneTensor, adam), global, updates, { state }));

    expect(seen).toEqual([{ version: 1, values: { own: true }, tensors: new Map() }]);
    expect(result.global.get(b)).toEqual(global.get(b));
    expect(values(result.global, a)[0]).toBeCloseTo(0.9090909091, 6);
    expect(result.state.values).toEqual({ round: 1 });
    expect(result.state.tensors.get(`server.m.${b}`)).toEqual(kept);
    expect(result.state.tensors.has(`server.v.${a}`)).toBe(true);
  });

  test("refuses a round as the method does, and is the method itself where there is no optimizer", () => {
    expect(aggregateInMemory(compile(adam), global, [])).toMatchObject({ kind: "refused", code: "round-failed" });
    const method = compile({ kind: "none" });
    expect(withServerOptimizer(method, { kind: "none" })).toBe(method);
  });
});

test("fedex-lora stays exact: its residual is taken after the step, against the factors as sent", () => {
  const spec = testSpec({ method: { name: "fedex-lora" }, serverOptimizer: adam });
  const method = compileMethod({ spec, adapterLayout: layout, scalings: { query: 2 } });
  const sink = new MemorySink();
  const result = adapterOf(aggregateInMemory(method, global, updates, { sink }));

  expect(result.state.tensors.has(`server.v.${a}`)).toBe(true);
  const product = (left: readonly number[], right: readonly number[]): number[] =>
    left.flatMap((x) => right.map((y) => x * y));
  const sent = product(values(result.global, b), values(result.global, a));
  const written = sink.tensors();
  const dense = written.get("base_model.model.query.delta.weight");
  const delta = dense
    ? [...toFloat32(dense)]
    : (() => {
        const left = values(written, "base_model.model.query.delta_B.weight");
        const right = values(written, "base_model.model.query.delta_A.weight");
        const rank = left.length / 3;
        return sent.map((_, i) => {
          const [row, column] = [Math.floor(i / 2), i % 2];
          return Array.from({ length: rank }, (__, q) => left[row * rank + q]! * right[q * 2 + column]!).reduce(
            (x, y) => x + y,
          );
        });
      })();
  // (B + dB)(A + dA) of both clients, by hand.
  const own = [product([0, 0.4, 0.9], [0.8, 1]), product([0, 0, 0.9], [1, 1])];
  sent.forEach((value, i) => expect(2 * value + delta[i]!).toBeCloseTo(own[0]![i]! + own[1]![i]!, 6));
});
