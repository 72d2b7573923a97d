import { randomKey, RandomStream, toFloat32 } from "@fedlora/core";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { denseOf, product } from "../testing/dense.js";
import { principalFactors } from "./principal-factors.js";

interface Case {
  readonly name: string;
  readonly dOut: number;
  readonly dIn: number;
  readonly rank: number;
  readonly scaling: number;
  readonly weight: readonly number[];
  readonly product: readonly number[];
  readonly rowNorms: readonly number[];
  readonly columnNorms: readonly number[];
  readonly residual: readonly number[];
}
const golden = JSON.parse(readFileSync(new URL("../../../testdata/init/pissa.json", import.meta.url), "utf8")) as {
  readonly cases: readonly Case[];
};

describe.each(golden.cases)("PiSSA of PEFT: $name", ({ dOut, dIn, rank, scaling, ...row }) => {
  const weight = { values: Float32Array.from(row.weight), dOut, dIn };
  const { a, b, leftOut } = principalFactors(weight, { rank, scaling, stream: new RandomStream(randomKey(1)) });
  const got = product(denseOf(b), denseOf(a)).values;

  test("the product, and what is left of the base without it, are the same", () => {
    row.product.forEach((value, i) => expect(got[i]).toBeCloseTo(value, 4));
    row.residual.forEach((value, i) => expect(row.weight[i]! - scaling * got[i]!).toBeCloseTo(value, 4));
  });

  test("each factor carries the root of its singular value", () => {
    const norm = (values: number[]): number => Math.hypot(...values);
    const [left, right] = [toFloat32(b), toFloat32(a)];
    row.rowNorms.forEach((value, k) => expect(norm([...right.slice(k * dIn, (k + 1) * dIn)])).toBeCloseTo(value, 4));
    row.columnNorms.forEach((value, k) =>
      expect(norm(Array.from({ length: dOut }, (_, i) => left[i * rank + k]!))).toBeCloseTo(value, 4),
    );
  });

  test("what stays outside is told", () => {
    const squares = (values: readonly number[]): number => values.reduce((sum, value) => sum + value * value, 0);

    expect(leftOut).toBeCloseTo(squares(row.residual) / squares(row.weight), 5);
  });
});
