import { RandomStream, randomKey } from "@fedlora/core";
import { expect, test } from "vitest";
import { FeatureTableBuilder, type FeatureTable } from "../data/simulation-data.js";
import { RowProducts } from "./row-products.js";

const stream = new RandomStream(randomKey(3));
const random = (length: number): Float32Array => Float32Array.from({ length }, () => stream.uniform() - 0.5);

function sparseTable(dim: number, numRows: number): FeatureTable {
  const builder = new FeatureTableBuilder(dim);
  for (let row = 0; row < numRows; row += 1) {
    builder.add(
      random(dim).map((value) => (value > 0 ? value : 0)),
      0,
    );
  }
  return builder.build();
}

/** What the kernels are to give: plain loops in their order. */
function plainProduct(matrix: Float32Array, rank: number, table: FeatureTable, row: number): number[] {
  const { dim, offsets, indices, values } = table;
  const hidden = new Array<number>(rank).fill(0);
  for (let k = 0; k < rank; k += 1) {
    for (let i = offsets[row]!; i < offsets[row + 1]!; i += 1) {
      hidden[k] = hidden[k]! + matrix[k * dim + indices[i]!]! * values[i]!;
    }
  }
  return hidden;
}

function addPlain(sum: Float32Array, factors: readonly number[], table: FeatureTable, row: number): void {
  const { dim, offsets, indices, values } = table;
  factors.forEach((factor, k) => {
    for (let i = offsets[row]!; i < offsets[row + 1]!; i += 1) {
      const at = k * dim + indices[i]!;
      sum[at] = sum[at]! + factor * values[i]!;
    }
  });
}

test.each([1, 3, 8, 11])("rank %i: products and sums are those of plain loops, bit for bit", (rank) => {
  const [dim, rows] = [37, [4, 0, 2]] as const;
  const table = sparseTable(dim, 5);
  const matrix = random(rank * dim);
  const factors = [...random(rank)].map((value) => value / 3);
  const products = new RowProducts();
  // Whatever was there before leaves nothing behind.
  products.open(
    16,
    sparseTable(64, 90),
    Int32Array.from({ length: 90 }, (_, row) => row),
  );
  products.setMatrix(random(16 * 64));

  products.open(rank, table, Int32Array.from(rows));
  products.setMatrix(matrix);

  const expected = new Float32Array(rank * dim);
  rows.forEach((row, example) => {
    products.project(example);
    expect([...products.hidden]).toEqual(plainProduct(matrix, rank, table, row));
    products.ofHidden.set(factors);
    products.accumulate(example);
    addPlain(expected, factors, table, row);
  });
  expect([...products.takeSum()]).toEqual([...expected]);
  expect(products.takeSum().every((value) => value === 0)).toBe(true);
});

test("memory grows with the examples", () => {
  const table = sparseTable(500, 400);
  const products = new RowProducts();
  products.open(
    2,
    table,
    Int32Array.from({ length: 400 }, (_, row) => row),
  );
  const matrix = random(1000);
  products.setMatrix(matrix);

  products.project(399);

  expect([...products.hidden]).toEqual(plainProduct(matrix, 2, table, 399));
});
