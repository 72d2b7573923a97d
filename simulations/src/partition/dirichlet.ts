import { FedLoraError, RandomStream, deriveKey, type RandomKey } from "@fedlora/core";
import { drawDirichlet } from "./gamma.js";
import { shuffled } from "./iid.js";
import type { Partition, PartitionedRows } from "./partition.js";
import { apportion, assertNobodyEmpty, offsetsOf, partitionOf } from "./shares.js";

/**
 * Label skew: for each label, its examples go to the clients in shares drawn from a symmetric Dirichlet distribution.
 *
 * Paper: Hsu, Qi, Brown, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual Classification",
 * 2019, in the form of Li et al. 2022 (shares of each label over the clients), which uses up every example.
 */
export function dirichletPartition(clients: number, alpha: number, data: PartitionedRows, key: RandomKey): Partition {
  const byLabel = rowsByLabel(data);
  const sizes = new Int32Array(clients);
  const cuts = byLabel.map((rows, label) => {
    const stream = new RandomStream(deriveKey(key, "dirichlet", label));
    const counts = apportion(rows.length, drawDirichlet(stream, clients, alpha));
    counts.forEach((count, client) => (sizes[client] = (sizes[client] ?? 0) + count));
    return { rows: shuffled(rows, deriveKey(key, "rows", label)), counts };
  });
  assertNobodyEmpty(sizes, "take fewer clients, a larger alpha, or set partition.examplesPerClient");
  const offsets = offsetsOf(sizes);
  const result = new Int32Array(data.rows.length);
  const next = offsets.slice();
  for (const { rows, counts } of cuts) {
    let from = 0;
    counts.forEach((count, client) => {
      result.set(rows.subarray(from, from + count), next[client] ?? 0);
      next[client] = (next[client] ?? 0) + count;
      from += count;
    });
  }
  return partitionOf(result, offsets);
}

/** Quantity skew: the numbers of examples follow a symmetric Dirichlet distribution, which ones is chance. */
export function quantityPartition(clients: number, alpha: number, rows: Int32Array, key: RandomKey): Partition {
  const stream = new RandomStream(deriveKey(key, "quantity"));
  const sizes = apportion(rows.length, drawDirichlet(stream, clients, alpha));
  assertNobodyEmpty(sizes, "take fewer clients or a larger alpha");
  return partitionOf(shuffled(rows, deriveKey(key, "rows")), offsetsOf(sizes));
}

/** Throws `scenario-invalid` for data without labels. */
export function rowsByLabel({ rows, labelOf, numLabels }: PartitionedRows): readonly Int32Array[] {
  if (labelOf === undefined) {
    throw new FedLoraError("scenario-invalid", "partition.kind dirichlet needs data with labels; these have none", {
      details: { path: "partition.kind" },
    });
  }
  return Array.from({ length: numLabels }, (_, label) => rows.filter((row) => labelOf(row) === label));
}
