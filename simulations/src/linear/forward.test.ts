import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { FeatureTableBuilder } from "../data/simulation-data.js";
import { backward, createActivations, forward, softmaxLoss, type Activations } from "./forward.js";
import { RowProducts } from "./row-products.js";

interface Case {
  readonly rank: number;
  readonly labels: number;
  readonly dIn: number;
  readonly scaling: number;
  readonly a: number[];
  readonly b: number[];
  readonly bias: number[];
  readonly r: number[] | null;
  readonly base: number[] | null;
  readonly x: number[][];
  readonly y: number[];
  readonly losses: number[];
  readonly gradients: Readonly<Record<"a" | "b" | "bias" | "r", number[]>>;
}

const file = new URL("../../../testdata/linear/gradients.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { readonly cases: Case[] };

describe.each(cases.map((each, index) => ({ each, index })))("case $index against autograd", ({ each }) => {
  const { rank, labels, dIn, scaling, x, y } = each;
  const floats = (values: number[]): Float32Array => Float32Array.from(values);
  const weights = {
    ...{ rank, labels, dIn, scaling },
    a: floats(each.a),
    b: floats(each.b),
    bias: floats(each.bias),
    r: each.r === null ? undefined : floats(each.r),
    base: each.base === null ? undefined : floats(each.base),
  };
  const builder = new FeatureTableBuilder(dIn);
  x.forEach((row, index) => builder.add(row, y[index]!));
  const table = builder.build();
  const activations = (): Activations => {
    const products = new RowProducts();
    products.open(
      rank,
      table,
      Int32Array.from(y, (_, row) => row),
    );
    products.setMatrix(weights.a);
    return createActivations(products, weights);
  };

  test("losses and gradients agree", () => {
    const at = activations();
    const gradients = {
      isATrained: true,
      b: new Float32Array(each.b.length),
      r: each.r === null ? undefined : new Float32Array(each.r.length),
      bias: new Float32Array(labels),
    };
    y.forEach((label, row) => {
      forward(weights, table, row, at);
      expect(softmaxLoss(at.logits, label)).toBeCloseTo(each.losses[row]!, 10);
      backward(weights, row, at, 1 / y.length, gradients);
    });
    const computed = { ...gradients, a: at.products.takeSum() };
    for (const name of ["a", "b", "bias", "r"] as const) {
      computed[name]?.forEach((value, index) => expect(value).toBeCloseTo(each.gradients[name][index]!, 5));
    }
  });

  test("what is not trained gets no gradient, the others the same", () => {
    const at = activations();
    const only = { isATrained: false, b: new Float32Array(each.b.length), r: undefined, bias: undefined };
    y.forEach((label, row) => {
      forward(weights, table, row, at);
      softmaxLoss(at.logits, label);
      backward(weights, row, at, 1 / y.length, only);
    });
    only.b.forEach((value, index) => expect(value).toBeCloseTo(each.gradients.b[index]!, 5));
  });
});
