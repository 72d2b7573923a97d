import { assertUpdateLayout, blobIdOf, writeSafetensors } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import type { ClientInstruction } from "../method.js";
import { hashedTensors } from "../primitive/hashed-tensors.js";
import { dense, denseOf, plus, product, times } from "../testing/dense.js";
import type { Dense } from "../testing/dense.js";
import { compileOn, factors, nameA, nameB, oneModule, roundOn } from "../testing/one-module.js";
import { rolora } from "./rolora.js";

const layout = oneModule(3, 2, 4);
const method = compileOn(layout, rolora);
const state = method.initialState();
const client = { clientId: "c", maxRank: undefined, ranks: undefined, directives: [], codecs: [] } as never;
const instructIn = (round: number): ClientInstruction => method.prepare(method.phase(state, round), state, client);
const global = { a: [1, -2, 3, 0.5, 0, 4, -1, 2], b: [1, 0, -1, 2, 0.5, 1] };
const before = factors(layout, global);
const moves = {
  a: [
    [1, 0, 2, 0, 3, 0, 4, 0],
    [0, -1, 0, 2, 0, 8, 0, 0.25],
  ],
  b: [
    [1, 2, 3, 4, 5, 6],
    [0, -1, 0.5, 2, -4, 8],
  ],
};

describe("G17", () => {
  test("a round of odd number averages B alone: A is bitwise what it was, the products' mean is exact", () => {
    const list = moves.b.map((b, k) => ({ weight: 1 + 2 * k, b }));
    const { global: next } = roundOn(method, layout, global, list, { round: 3 });
    const ideal = moves.b.map((b, k) => {
      const own = plus(
        denseOf(before.get(nameB)!),
        dense(3, 2, (i, j) => b[2 * i + j]!),
      );
      return times((1 + 2 * k) / 4, product(own, denseOf(before.get(nameA)!)));
    });
    expect(next.get(nameA)!.bytes).toEqual(before.get(nameA)!.bytes);
    expect([...effective(next).values]).toEqual([...ideal.reduce(plus).values]);
  });

  test("a round of even number averages A alone: B is bitwise what it was, the products' mean is exact", () => {
    const list = moves.a.map((a, k) => ({ weight: 1 + 2 * k, a }));
    const { global: next } = roundOn(method, layout, global, list, { round: 4 });
    const ideal = moves.a.map((a, k) => {
      const own = plus(
        denseOf(before.get(nameA)!),
        dense(2, 4, (i, j) => a[4 * i + j]!),
      );
      return times((1 + 2 * k) / 4, product(denseOf(before.get(nameB)!), own));
    });
    expect(next.get(nameB)!.bytes).toEqual(before.get(nameB)!.bytes);
    expect([...effective(next).values]).toEqual([...ideal.reduce(plus).values]);
  });
});

test("B is trained first: A has no gradient while B is zero", () => {
  expect(
    instructIn(1)
      .roles.filter(({ trained }) => trained)
      .map(({ spec }) => spec.name),
  ).toEqual([nameB]);
  expect(
    instructIn(2)
      .roles.filter(({ trained }) => trained)
      .map(({ spec }) => spec.name),
  ).toEqual([nameA]);
});

test("an update of the other parity does not fit the plan's layout, one of an earlier round has no weight", () => {
  const odd = method.intake(instructIn(1), 0);
  const even = method.intake(instructIn(2), 0);

  expect(() => {
    assertUpdateLayout(even.layout, new Map(odd.layout.map((spec) => [spec.name, spec])));
  }).toThrow(expect.objectContaining({ code: expect.stringMatching(/^update-tensor-/) }));
  expect([odd.staleWeight(1), odd.staleWeight(2), even.staleWeight(2)]).toEqual([0, 0, 0]);
});

test("who took part in the round before fetches one factor, who missed rounds both", () => {
  const blobsOf = (round: number, adapter: typeof before): string[] =>
    hashedTensors(instructIn(round), adapter).map((tensors) => blobIdOf(writeSafetensors(tensors)));
  const list = moves.b.map((b) => ({ b }));
  const second = roundOn(method, layout, global, list, { round: 1 }).global;
  const third = roundOn(
    method,
    layout,
    { a: global.a, b: [...denseOf(second.get(nameB)!).values] },
    moves.a.map((a) => ({ a })),
    {
      round: 2,
    },
  ).global;
  const cached = new Set([...blobsOf(1, before), ...blobsOf(2, second)]);
  const fetched = blobsOf(3, third);

  expect(fetched).toHaveLength(2);
  expect(fetched.filter((blob) => !cached.has(blob))).toHaveLength(1);
  expect(fetched.filter((blob) => !blobsOf(1, before).includes(blob))).toHaveLength(2);
  // A [2, 4] came, B [3, 2] goes.
  expect(method.bytes(instructIn(3))).toEqual({ down: 32, up: 24 });
  expect(method.bytes(instructIn(4))).toEqual({ down: 24, up: 32 });
});

function effective(adapter: typeof before): Dense {
  return product(denseOf(adapter.get(nameB)!), denseOf(adapter.get(nameA)!));
}
