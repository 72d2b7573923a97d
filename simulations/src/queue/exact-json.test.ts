import fc from "fast-check";
import { expect, test } from "vitest";
import { readNumbers, writeNumbers } from "./exact-json.js";

test("every number comes back as the same bits", () => {
  fc.assert(
    fc.property(fc.array(fc.double()), (values) => {
      const back = readNumbers(writeNumbers({ values })) as { values: number[] };
      expect(back.values.map((value) => Object.is(value, -0))).toEqual(values.map((value) => Object.is(value, -0)));
      expect(back.values).toEqual(values);
    }),
  );
  expect(readNumbers(writeNumbers([Number.NaN, Infinity, -Infinity, -0]))).toEqual([
    Number.NaN,
    Infinity,
    -Infinity,
    -0,
  ]);
});
