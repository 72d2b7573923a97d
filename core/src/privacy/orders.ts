/** Orders at which Renyi divergences are tracked, ascending, each above 1. */
export type OrderGrid = "united" | "opacus" | "dp-accounting" | "tf-privacy";

const range = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);
const fine = range(11, 109).map((tenths) => tenths / 10);

const grids: Record<Exclude<OrderGrid, "united">, readonly number[]> = {
  opacus: [...fine, ...range(12, 63)],
  "dp-accounting": [...fine, ...range(11, 63), 128, 256, 512, 1024],
  "tf-privacy": [1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 4, 4.5, ...range(5, 63), 128, 256, 512],
};

/** The grid of a library, so that its figures can be reproduced, or all of them together. */
export function orderGrid(name: OrderGrid): readonly number[] {
  if (name !== "united") return grids[name];
  return [...new Set(Object.values(grids).flat())].sort((a, b) => a - b);
}
