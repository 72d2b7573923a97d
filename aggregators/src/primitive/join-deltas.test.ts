import { baseDeltaKeys, fromFloat32, RandomStream, randomKey, toFloat32 } from "@fedlora/core";
import type { StateDict, TensorLayout } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import type { TensorSink } from "../method.js";
import { joinBaseDeltas } from "./join-deltas.js";
import type { BaseDeltaReader } from "./join-deltas.js";

const [dIn, dOut] = [5, 7];
const module = "m.q";
const keys = baseDeltaKeys(module);
const adapterLayout: TensorLayout = [
  { name: `base_model.model.${module}.lora_A.weight`, dtype: "F32", shape: [2, dIn] },
  { name: `base_model.model.${module}.lora_B.weight`, dtype: "F32", shape: [dOut, 2] },
];
const random = new RandomStream(randomKey(3));
const values = (count: number): Float32Array => Float32Array.from({ length: count }, () => random.normal());

const factored = (rank: number): StateDict =>
  new Map([
    [keys.a, fromFloat32(values(rank * dIn), [rank, dIn])],
    [keys.b, fromFloat32(values(dOut * rank), [dOut, rank])],
  ]);
const matrix = (): StateDict => new Map([[keys.dense, fromFloat32(values(dOut * dIn), [dOut, dIn])]]);

function readerOf(delta: StateDict): BaseDeltaReader {
  return {
    shape: (name) => delta.get(name)?.shape,
    read: (name, from, count) => toFloat32(delta.get(name)!).slice(from, from + count),
  };
}

function join(deltas: readonly StateDict[], options: { isFactored?: boolean; blockElements?: number } = {}) {
  const written = new Map<string, Float32Array>();
  const sink: TensorSink = {
    open: (layout) =>
      layout.forEach(({ name, shape }) => written.set(name, new Float32Array(shape.reduce((a, b) => a * b, 1)))),
    write: (name, part, at = 0) => written.get(name)!.set(part, at),
  };
  const isFinite = joinBaseDeltas(deltas.map(readerOf), { adapterLayout, sink, ...options });
  return { written, isFinite };
}

/** The sum by definition, in float64. */
function denseSum(deltas: readonly StateDict[]): number[] {
  const sum = new Array<number>(dOut * dIn).fill(0);
  for (const delta of deltas) {
    const [a, b, dense] = [delta.get(keys.a), delta.get(keys.b), delta.get(keys.dense)];
    for (let i = 0; i < dOut; i++) {
      for (let j = 0; j < dIn; j++) {
        let value = dense === undefined ? 0 : toFloat32(dense)[i * dIn + j]!;
        const rank = a?.shape[0] ?? 0;
        for (let k = 0; k < rank; k++) value += toFloat32(b!)[i * rank + k]! * toFloat32(a!)[k * dIn + j]!;
        sum[i * dIn + j]! += value;
      }
    }
  }
  return sum;
}

const product = (a: Float32Array, b: Float32Array, rank: number): number[] =>
  denseSum([
    new Map([
      [keys.a, fromFloat32(a, [rank, dIn])],
      [keys.b, fromFloat32(b, [dOut, rank])],
    ]),
  ]);

describe("base deltas that are joined", () => {
  test("stay in factors, side by side, while those are smaller: the same numbers, none rounded", () => {
    const deltas: StateDict[] = [factored(1), new Map(), factored(1)];

    const { written, isFinite } = join(deltas);

    expect(isFinite).toBe(true);
    const [a, b] = [written.get(keys.a)!, written.get(keys.b)!];
    expect([...written.keys()].sort()).toEqual([keys.a, keys.b].sort());
    expect(product(a, b, 2)).toEqual(denseSum(deltas));
    expect([...a.subarray(0, dIn)]).toEqual([...toFloat32(deltas[0]!.get(keys.a)!)]);
  });

  test.each([
    ["factors that are larger than the matrix", () => [factored(2), factored(1), factored(3)]],
    ["a matrix among them", () => [factored(1), matrix()]],
  ])("are a matrix for %s, rounded once", (_case, make) => {
    const deltas = make();

    const { written } = join(deltas);

    expect([...written.keys()]).toEqual([keys.dense]);
    expect(written.get(keys.dense)).toEqual(Float32Array.from(denseSum(deltas)));
    for (const blockElements of [1, dIn, 3 * dIn]) expect(join(deltas, { blockElements }).written).toEqual(written);
  });

  test("stay in factors where the method asks for it, unless one is a matrix", () => {
    expect([...join([factored(2), factored(3)], { isFactored: true }).written.keys()]).toEqual([keys.a, keys.b]);
    expect([...join([factored(2), matrix()], { isFactored: true }).written.keys()]).toEqual([keys.dense]);
  });

  test("say when their sum is beyond float32", () => {
    const huge: StateDict = new Map([[keys.dense, fromFloat32(new Float32Array(dOut * dIn).fill(3e38), [dOut, dIn])]]);

    expect(join([huge, huge]).isFinite).toBe(false);
  });
});
