import { FedLoraError, type RandomKey } from "@fedlora/core";
import type { PartitionSpec } from "../scenario/partition-schema.js";
import { keyPartition } from "./by-key.js";
import { dirichletPartition, quantityPartition } from "./dirichlet.js";
import { drawnPartition } from "./drawn.js";
import { iidPartition } from "./iid.js";

/** Which rows of a data set each virtual client holds. The same seed gives the same rows; memory does not grow with clients. */
export interface Partition {
  readonly clients: number;
  /** Rows of one client, a fresh array; at least one. */
  rowsOf(client: number): Int32Array;
  /** A name for reports: the key's value where clients are by key. */
  nameOf(client: number): string;
}

/** What a partition must know of a data set. */
export interface PartitionedRows {
  /** Rows to share out, by their numbers in the data set. */
  readonly rows: Int32Array;
  readonly numLabels: number;
  /** Label of a row, from 0; undefined: the data have no labels. */
  readonly labelOf: ((row: number) => number) | undefined;
  /** Keys that the data have: name -> value of a row. */
  readonly keys: ReadonlyMap<string, (row: number) => string>;
  /** The key of `by-key` where the scenario names none. */
  readonly defaultKey: string | undefined;
}

/**
 * Shares the rows out.
 *
 * @throws FedLoraError `scenario-invalid` for a key or labels that the data do not have, `partition-impossible` for more
 *   clients than examples and for a share that leaves a client without any
 */
export function partitionRows(spec: PartitionSpec, data: PartitionedRows, key: RandomKey): Partition {
  if (data.rows.length === 0) throw new FedLoraError("partition-impossible", "the data hold no example to share out");
  if (spec.kind === "by-key") return keyPartition(spec, data, key);
  if (spec.kind !== "quantity" && spec.examplesPerClient !== undefined) {
    return drawnPartition(
      spec.clients,
      spec.examplesPerClient,
      spec.kind === "dirichlet" ? spec.alpha : undefined,
      data,
      key,
    );
  }
  if (spec.clients > data.rows.length) {
    throw new FedLoraError(
      "partition-impossible",
      `partition.clients ${spec.clients} are more than the ${data.rows.length} examples there are to train on`,
      { details: { path: "partition.clients" } },
    );
  }
  switch (spec.kind) {
    case "iid":
      return iidPartition(spec.clients, data.rows, key);
    case "dirichlet":
      return dirichletPartition(spec.clients, spec.alpha, data, key);
    case "quantity":
      return quantityPartition(spec.clients, spec.alpha, data.rows, key);
  }
}
