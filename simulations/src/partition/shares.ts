import { FedLoraError } from "@fedlora/core";
import type { Partition } from "./partition.js";

/** A partition by a list of rows and where each client's part of it begins; `offsets` has one more entry than clients. */
export function partitionOf(
  rows: Int32Array,
  offsets: Int32Array,
  nameOf: (client: number) => string = numbered,
): Partition {
  return {
    clients: offsets.length - 1,
    rowsOf: (client) => rows.slice(offsets[client] ?? 0, offsets[client + 1] ?? 0),
    nameOf,
  };
}

export const numbered = (client: number): string => `client-${client}`;

/**
 * Cuts `total` into whole numbers in proportion to the weights, by the largest remainder: the sum is exactly `total`.
 */
export function apportion(total: number, weights: Float64Array): Int32Array {
  const sum = weights.reduce((all, weight) => all + weight, 0);
  const exact = weights.map((weight) => (total * weight) / sum);
  const counts = Int32Array.from(exact, Math.floor);
  const left = total - counts.reduce((all, count) => all + count, 0);
  const byRemainder = [...exact.keys()].sort((a, b) => remainder(exact, b) - remainder(exact, a) || a - b);
  for (const index of byRemainder.slice(0, left)) counts[index] = (counts[index] ?? 0) + 1;
  return counts;
}

/** Refuses a partition in which somebody has nothing, by the first of them. */
export function assertNobodyEmpty(sizes: Int32Array, hint: string): void {
  const empty = sizes.indexOf(0);
  if (empty < 0) return;
  const count = sizes.filter((size) => size === 0).length;
  throw new FedLoraError(
    "partition-impossible",
    `${count} of ${sizes.length} clients would hold no example (the first is ${numbered(empty)}): ${hint}`,
    { details: { path: "partition", client: String(empty) } },
  );
}

/** Where each part begins, and the end. */
export function offsetsOf(sizes: Int32Array): Int32Array {
  const offsets = new Int32Array(sizes.length + 1);
  sizes.forEach((size, index) => (offsets[index + 1] = (offsets[index] ?? 0) + size));
  return offsets;
}

const remainder = (values: Float64Array, index: number): number => (values[index] ?? 0) % 1;
