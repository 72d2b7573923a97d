import { RandomStream, deriveKey, type RandomKey } from "@fedlora/core";
import type { SimulationData } from "../data/simulation-data.js";
import type { DataSpec } from "../scenario/data-schema.js";

export interface DataSplit {
  /** Rows for the clients. */
  readonly train: Int32Array;
  /** Rows that no client gets. */
  readonly test: Int32Array;
}

/** Chooses the rows that are used and those that no client gets, by the seed. */
export function splitRows(data: SimulationData, { limit, test }: DataSpec, key: RandomKey): DataSplit {
  const rows = Array.from({ length: data.numRows }, (_, row) => row);
  const chosen = Int32Array.from(new RandomStream(deriveKey(key, "split")).shuffle(rows)).slice(0, limit);
  const count = Math.round(chosen.length * test);
  return { test: chosen.slice(0, count).sort(), train: chosen.slice(count).sort() };
}
