import { clientControlName, codecOf, serverControlName, toFloat32, toStateDict } from "@fedlora/core";
import type { RunSpecInput, StateDict, TensorLayout } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { compileMethod } from "../compile-method.js";
import type { AggregationResult, ClientInstruction, Method, MethodRun, MethodRunState, UpdateView } from "../method.js";
import { aggregateInMemory, memoryUpdate, stateOf, testSpec } from "../testing/memory.js";
import { withClientOptions } from "./client-options.js";

const a = "base_model.model.query.lora_A.weight";
const b = "base_model.model.query.lora_B.weight";
const layout: TensorLayout = [
  { name: a, dtype: "F32", shape: [1, 2] },
  { name: b, dtype: "F32", shape: [3, 1] },
];
const sgd = { optimizer: { kind: "sgd", learningRate: 0.1 } } as const;
const scaffold: RunSpecInput["training"] = { ...sgd, controlVariates: true };
const run = (training: RunSpecInput["training"], more: Partial<RunSpecInput>): MethodRun => ({
  spec: testSpec({ training, ...more }),
  adapterLayout: layout,
  scalings: {},
});
const compile = (training: RunSpecInput["training"], more: Partial<RunSpecInput> = {}): Method =>
  compileMethod(run(training, more));
const client = { clientId: "c", maxRank: undefined, ranks: undefined, directives: [], codecs: [] } as never;
const instruct = (method: Method): ClientInstruction => method.prepare("train", method.initialState(), client);
const global = stateOf(layout, { [a]: [1, 1], [b]: [0, 0, 1] });
const adapterOf = (result: AggregationResult): Extract<AggregationResult, { kind: "adapter" }> => {
  if (result.kind === "refused") throw new Error(result.message);
  return result;
};

describe("FedProx", () => {
  test("G28: is one more directive; without mu nothing changes", () => {
    const plain = instruct(compile(sgd));
    const { directives, ...rest } = instruct(compile({ ...sgd, proximalMu: 0.01 }));

    expect(directives).toEqual([{ kind: "proximal", version: 1, mu: 0.01 }]);
    expect({ ...rest, directives: [] }).toEqual(plain);
  });

  test("leaves the aggregation to the method", () => {
    const updates = [memoryUpdate("u", 2, stateOf(layout, { [a]: [0.5, 0], [b]: [1, 2, 3] }))];

    expect(aggregateInMemory(compile({ ...sgd, proximalMu: 1 }), global, updates)).toEqual(
      aggregateInMemory(compile(sgd), global, updates),
    );
  });
});

describe("SCAFFOLD", () => {
  const update = (id: string, weight: number, controls: readonly [number[], number[]]): UpdateView => {
    const deltas = stateOf(layout, { [a]: [0.5, 0], [b]: [1, 2, 3] });
    const named = stateOf(
      layout.map((spec) => ({ ...spec, name: clientControlName(spec.name) })),
      { [clientControlName(a)]: controls[0], [clientControlName(b)]: controls[1] },
    );
    return memoryUpdate(id, weight, toStateDict([...deltas, ...named]));
  };
  const first = [
    update("u1", 1, [
      [1, 0],
      [0, 3, 0],
    ]),
    update("u2", 9, [
      [3, 2],
      [0, 0, 1],
    ]),
  ];
  const aggregated = (state: MethodRunState | undefined, updates: readonly UpdateView[], shards = 1): MethodRunState =>
    adapterOf(aggregateInMemory(compile(scaffold), global, updates, { shards, ...(state && { state }) })).state;
  const controlOf = (state: MethodRunState): StateDict => {
    const method = compile(scaffold);
    return method.projectFor(instruct(method), global, state);
  };
  const values = (state: StateDict, name: string): number[] => [...toFloat32(state.get(name)!)];

  test("sends c down and c_k' - c_k up beside every tensor, twice the bytes, and keeps c_k for the run", () => {
    const method = compile(scaffold);
    const instruction = instruct(method);

    expect(instruction.directives).toEqual([{ kind: "control-variate", version: 1 }]);
    for (const spec of layout) {
      const roleOf = (name: string) => instruction.roles.find((role) => role.spec.name === name);
      const { shape } = spec;
      expect(roleOf(serverControlName(spec.name))).toEqual({
        spec: { name: serverControlName(spec.name), dtype: "F32", shape },
        ...{ trained: false, uploaded: false, downloaded: true, keep: "none" },
      });
      expect(roleOf(clientControlName(spec.name))).toEqual({
        spec: { name: clientControlName(spec.name), dtype: "F32", shape },
        ...{ trained: false, uploaded: true, downloaded: false, keep: "run" },
      });
    }
    expect(method.bytes(instruction)).toEqual({ down: 2 * 5 * 4, up: 2 * 5 * 4 });
    expect(method.intake(instruction, 0).layout).toEqual(
      codecOf("f32").encodedLayout(instruction.roles.filter(({ uploaded }) => uploaded).map(({ spec }) => spec)),
    );
    expect(method.clientState()?.tensors.map(({ name }) => name)).toEqual([a, b].map(clientControlName));
  });

  test("starts with a control of zero", () => {
    const down = controlOf(compile(scaffold).initialState());

    expect([...down.keys()]).toEqual([a, b, serverControlName(a), serverControlName(b)]);
    expect(values(down, serverControlName(b))).toEqual([0, 0, 0]);
    expect(down.get(a)).toEqual(global.get(a));
  });

  test("takes the unweighted mean of the controls of all clients that ever took part", () => {
    const one = aggregated(undefined, first);
    expect(values(controlOf(one), serverControlName(a))).toEqual([2, 1]);
    expect(values(controlOf(one), serverControlName(b))).toEqual([0, 1.5, 0.5]);

    // u1 again and a newcomer: N = 3, so the mean of (1+2, 0-3), (3, 2) and (0, 4).
    const two = aggregated(one, [
      update("u1", 5, [
        [2, -3],
        [0, 0, 0],
      ]),
      update("u3", 1, [
        [0, 4],
        [3, 0, 0],
      ]),
    ]);
    expect(values(controlOf(two), serverControlName(a))).toEqual([2, 1]);
    expect(values(controlOf(two), serverControlName(b))).toEqual([1, 1, Math.fround(1 / 3)]);
  });

  test("with every client in every round is the paper's c += mean(c_k' - c_k)", () => {
    const two = aggregated(aggregated(undefined, first), first);

    expect(values(controlOf(two), serverControlName(a))).toEqual([4, 2]);
  });

  test("depends on neither order nor sharding, and counts no update without weight", () => {
    const more = [
      ...first,
      update("u0", 0, [
        [7, 7],
        [7, 7, 7],
      ]),
      update("u4", 3, [
        [1e-9, 0.1],
        [0.2, 0, 1],
      ]),
    ];
    const expected = aggregated(undefined, more);

    expect(aggregated(undefined, more.toReversed())).toEqual(expected);
    expect(aggregated(undefined, more, 3)).toEqual(expected);
    expect(
      aggregated(
        undefined,
        more.filter(({ weight }) => weight > 0),
      ),
    ).toEqual(expected);
  });

  test("leaves the adapter to the method, and goes with a server optimizer", () => {
    const adam: RunSpecInput["serverOptimizer"] = { kind: "fedadam" };
    const both = aggregateInMemory(compile(scaffold, { serverOptimizer: adam }), global, first);
    const plain = aggregateInMemory(compile(sgd, { serverOptimizer: adam }), global, first);

    expect(adapterOf(both).global).toEqual(adapterOf(plain).global);
    expect([...adapterOf(both).state.tensors.keys()].sort()).toEqual(
      [...adapterOf(plain).state.tensors.keys(), `control.${a}`, `control.${b}`].sort(),
    );
  });

  test("refuses a control with wrong values, naming update and tensor", () => {
    const bad = update("bad", 1, [
      [Number.NaN, 0],
      [0, 0, 0],
    ]);

    expect(() => aggregated(undefined, [...first, bad])).toThrow(
      expect.objectContaining({
        code: "update-not-finite",
        details: expect.objectContaining({ updateId: "bad", tensor: clientControlName(a) }),
      }),
    );
  });

  test("is refused where a client may hold two plans, whose controls would both start from the same one", () => {
    const options = run({ ...scaffold }, { policy: { kind: "buffered", bufferSize: 2 } });

    expect(() => withClientOptions(compile(sgd), options)).toThrow(
      expect.objectContaining({ code: "spec-combination-refused", details: { field: "policy.kind" } }),
    );
  });
});
