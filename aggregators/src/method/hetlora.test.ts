import type { ClientId } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import type { ClientInstruction, Method, MethodRunState, UpdateView } from "../method.js";
import { aggregateInMemory, memoryUpdate } from "../testing/memory.js";
import {
  compileOn,
  factors,
  nameA,
  nameB,
  oneModule,
  roundOn,
  twoClients,
  updatesOn,
  valuesOf,
} from "../testing/one-module.js";
import { hetlora } from "./hetlora.js";

const { layout, global, updates } = twoClients;

function instruct(
  method: Method,
  state: MethodRunState,
  clientId: string,
  ranks?: Record<string, number>,
): ClientInstruction {
  return method.prepare("train", state, {
    clientId: clientId as ClientId,
    maxRank: 4,
    ranks,
    directives: [],
    codecs: [],
  });
}
const rankOf = ({ roles }: ClientInstruction): number | undefined =>
  roles.find(({ spec }) => spec.name === nameA)?.spec.shape[0];

describe("weights by the norm of the product", () => {
  test("G8: norms 2 and 4 give 1/3 and 2/3, whatever the example counts", () => {
    const alike = updates.map((update) => ({ ...update, weight: 1 }));
    const { global: next } = roundOn(compileOn(layout, hetlora), layout, global, alike);
    const third = Math.fround(1 / 3);
    expect(valuesOf(next, nameB)).toEqual([third, Math.fround(2 / 3)]);
    expect(valuesOf(next, nameA)[0]).toBeCloseTo(2 / 3, 7);
    expect(valuesOf(next, nameA)[1]).toBeCloseTo(8 / 3, 6);
  });

  test("G11: the other sign of one client's factors is the same model but another average", () => {
    const flipped = [
      { a: [-2, 0], b: [-1, 0] },
      { a: [0, 4], b: [0, 1] },
    ];
    const { global: next } = roundOn(compileOn(layout, hetlora), layout, global, flipped);
    expect(valuesOf(next, nameB)[0]).toBeCloseTo(-1 / 3, 7);
  });

  test("factors scaled against each other win nothing, and a huge product counts as thrice the median", () => {
    const method = compileOn(layout, hetlora);
    const gamed = [
      { a: [2e-3, 0], b: [1e3, 0] },
      { a: [0, 4], b: [0, 1] },
    ];
    expect(valuesOf(roundOn(method, layout, global, gamed).global, nameB)[1]).toBeCloseTo(2 / 3, 6);

    const one = { a: [1, 0], b: [1, 0] };
    const huge = [one, one, { a: [0, 1e6], b: [0, 1] }];
    // Weights 1, 1, 3.
    expect(valuesOf(roundOn(method, layout, global, huge).global, nameB)[1]).toBeCloseTo(3 / 5, 6);
  });

  test("G25: clients of equal rank and norm give FedIT's mean; where all products are zero, too", () => {
    const method = compileOn(layout, hetlora);
    const equal = [
      { a: [2, 0], b: [1, 0] },
      { a: [0, 2], b: [0, 1] },
    ];
    expect(valuesOf(roundOn(method, layout, global, equal).global, nameB)).toEqual([0.5, 0.5]);
    const withoutB = [
      { a: [2, 0], b: [0, 0] },
      { a: [0, 4], b: [0, 0] },
    ];
    expect(valuesOf(roundOn(method, layout, global, withoutB).global, nameA)).toEqual([1, 2]);
  });
});

describe("mixed ranks", () => {
  const wide = oneModule(2, 3, 2);
  const start = { a: [1, 1, 2, 2, 3, 3], b: [1, 2, 3, 4, 5, 6] };
  const method = compileOn(wide, hetlora, {}, { rankPlan: { kind: "capability" } });

  test("clients get leading rows of A and columns of B", () => {
    const instruction = instruct(method, method.initialState(), "c", { m: 2 });
    const download = method.projectFor(instruction, factors(wide, start), method.initialState());
    expect(valuesOf(download, nameA)).toEqual([1, 1, 2, 2]);
    expect(valuesOf(download, nameB)).toEqual([1, 2, 4, 5]);
  });

  test("what they send is padded with zeros, so rarely owned ranks shrink; beyond all ranks values stay", () => {
    // Products of equal norm: (1 + 0)(1 1) in both, the second rank of the larger one zero in B.
    const mixed = [
      { rank: 1, a: [0, 0], b: [0, -4] },
      { rank: 2, a: [0, 0, 0, 0], b: [0, -2, -4, -5] },
    ];
    const { global: next } = roundOn(method, wide, start, mixed);
    expect(valuesOf(next, nameA)).toEqual([1, 1, 1, 1, 3, 3]);
    expect(valuesOf(next, nameB)).toEqual([1, 0, 3, 0, 0, 6]);
  });
});

describe("rank self-pruning", () => {
  const four = oneModule(1, 4, 1);
  const start = { a: [1, 1, 1, 1], b: [1, 1, 1, 1] };
  const method = compileOn(four, hetlora, { gamma: 0.75 }, { rankPlan: { kind: "capability" } });
  const update = (id: string, tail: number): UpdateView => {
    const tensors = factors(four, { a: [0, 0, 0, 0], b: [0, 0, 0, tail] });
    return memoryUpdate(id, 1, tensors, { clientId: `client-${id}` as ClientId });
  };
  const stateAfter = (list: readonly UpdateView[], from = method.initialState()): MethodRunState => {
    const result = aggregateInMemory(method, factors(four, start), list, { state: from });
    if (result.kind === "refused") throw new Error(result.message);
    return result.state;
  };

  test("a client whose last ranks lost weight trains floor(gamma r) of them from then on, the others as before", () => {
    const state = stateAfter([update("less", -0.5), update("more", 0.5), update("same", 0)]);
    expect(["less", "more", "same"].map((id) => rankOf(instruct(method, state, `client-${id}`)))).toEqual([3, 4, 4]);
    const again = stateAfter([update("less", -0.5)], state);
    expect(rankOf(instruct(method, again, "client-less"))).toBe(2);
    expect(rankOf(instruct(method, again, "client-less", { m: 2 }))).toBe(1);
  });

  test("only the last ranks count: those before floor(gamma r) may shrink", () => {
    const tensors = factors(four, { a: [-1, -1, -1, 0], b: [-1, -1, -1, 0.5] });
    const shrunk = memoryUpdate("front", 1, tensors, { clientId: "client-front" as ClientId });
    expect(stateAfter([shrunk]).values).toEqual({});
  });

  test("never goes below rank 1, and not where it is switched off", () => {
    const often = { ...method.initialState(), values: { "prunes/c": 50 } };
    expect(rankOf(instruct(method, often, "c"))).toBe(1);
    const fixed = compileOn(four, hetlora, { gamma: 0.75, prune: false });
    const result = roundOn(fixed, four, start, [{ a: [0, 0, 0, 0], b: [0, 0, 0, -0.5] }]);
    expect(result.state.values).toEqual({});
  });

  test("clients are told the penalty that the coordinator prunes by", () => {
    const { directives } = instruct(method, method.initialState(), "c");
    expect(directives).toEqual([{ kind: "rank-penalty", version: 1, lambda: 0.01, gamma: 0.75 }]);
    expect(instruct(compileOn(four, hetlora, { lambda: 0 }), method.initialState(), "c").directives).toEqual([]);
  });
});

test("factors of one module with different ranks are refused, naming the update", () => {
  const wide = oneModule(2, 3, 2);
  const method = compileOn(wide, hetlora, {}, { rankPlan: { kind: "capability" } });
  const [a] = updatesOn(wide, [{ rank: 1, a: [1, 1] }]);
  const [b] = updatesOn(wide, [{ rank: 2, b: [1, 1, 1, 1] }]);
  const torn: UpdateView = {
    ...a!,
    shape: (name) => (name === nameA ? a! : b!).shape(name),
    tensor: (name) => (name === nameA ? a! : b!).tensor(name),
  };
  const start = factors(wide, { a: [1, 1, 2, 2, 3, 3], b: [1, 2, 3, 4, 5, 6] });
  expect(() => aggregateInMemory(method, start, [torn])).toThrow(
    expect.objectContaining({ code: "update-shape", details: { updateId: "plan-0", tensor: nameB } }),
  );
});
