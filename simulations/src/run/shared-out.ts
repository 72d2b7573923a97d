import { deriveKey, randomKey, type RandomKey } from "@fedlora/core";
import type { SimulationData } from "../data/simulation-data.js";
import { partitionRows, type Partition } from "../partition/partition.js";
import type { Scenario } from "../scenario/scenario-schema.js";
import { splitRows } from "./split.js";

/** What a seed decides before anything runs: the same for every variant. */
export interface SharedOut {
  readonly key: RandomKey;
  /** Rows that no client has. */
  readonly test: Int32Array;
  readonly partition: Partition;
  /** Of everything random of clients. */
  readonly clientsKey: RandomKey;
}

/** Splits the data and shares them out; throws what `partitionRows` throws. */
export function sharedOut(scenario: Scenario, data: SimulationData, seed: number): SharedOut {
  const key = randomKey(seed);
  const { train, test } = splitRows(data, scenario.data, key);
  const rows = {
    rows: train,
    numLabels: data.labels?.length ?? 0,
    labelOf: data.labels === undefined ? undefined : (row: number) => data.labelOf(row),
    keys: data.keys,
    defaultKey: data.defaultKey,
  };
  const partition = partitionRows(scenario.partition, rows, deriveKey(key, "partition"));
  return { key, test, partition, clientsKey: deriveKey(key, "clients") };
}
