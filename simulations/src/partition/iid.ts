import { RandomStream, deriveKey, type RandomKey } from "@fedlora/core";
import type { Partition } from "./partition.js";
import { apportion, offsetsOf, partitionOf } from "./shares.js";

/** Shuffled and cut into parts of equal size; the first ones have one more where it does not come out even. */
export function iidPartition(clients: number, rows: Int32Array, key: RandomKey): Partition {
  const sizes = apportion(rows.length, new Float64Array(clients).fill(1));
  return partitionOf(shuffled(rows, deriveKey(key, "iid")), offsetsOf(sizes));
}

export function shuffled(rows: Int32Array, key: RandomKey): Int32Array {
  return Int32Array.from(new RandomStream(key).shuffle([...rows]));
}
