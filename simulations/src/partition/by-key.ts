import { FedLoraError, deriveKey, suggestion, type RandomKey } from "@fedlora/core";
import type { PartitionSpec } from "../scenario/partition-schema.js";
import { shuffled } from "./iid.js";
import type { Partition, PartitionedRows } from "./partition.js";
import { offsetsOf, partitionOf } from "./shares.js";

type ByKey = Extract<PartitionSpec, { kind: "by-key" }>;

/**
 * One client per value of a key, those with the most examples first (of equal ones by name).
 *
 * @throws FedLoraError `scenario-invalid` for a key that the data do not have, `partition-impossible` where too few values
 *   have enough examples
 */
export function keyPartition(spec: ByKey, data: PartitionedRows, key: RandomKey): Partition {
  const valueOf = keyOf(spec, data);
  const groups = new Map<string, number[]>();
  for (const row of data.rows) {
    const value = valueOf(row);
    const group = groups.get(value);
    if (group === undefined) groups.set(value, [row]);
    else group.push(row);
  }
  const large = [...groups]
    .filter(([, rows]) => rows.length >= spec.minExamples)
    .sort(([a, rowsA], [b, rowsB]) => rowsB.length - rowsA.length || (a < b ? -1 : 1));
  const wanted = spec.clients ?? large.length;
  if (large.length < wanted || wanted === 0) {
    const message =
      `${large.length} of ${groups.size} values have the ${spec.minExamples} examples of partition.minExamples` +
      (spec.clients === undefined ? "" : `; partition.clients asks for ${spec.clients}`);
    throw new FedLoraError("partition-impossible", message, { details: { path: "partition.minExamples" } });
  }
  const chosen = large.slice(0, wanted);
  const rows = chosen.flatMap(([value, group]) => [...shuffled(Int32Array.from(group), deriveKey(key, "key", value))]);
  const offsets = offsetsOf(Int32Array.from(chosen, ([, group]) => group.length));
  return partitionOf(Int32Array.from(rows), offsets, (client) => chosen[client]?.[0] ?? "");
}

function keyOf({ key }: ByKey, { keys, defaultKey }: PartitionedRows): (row: number) => string {
  const name = key ?? defaultKey;
  const known = [...keys.keys()];
  const found = name === undefined ? undefined : keys.get(name);
  if (found !== undefined) return found;
  const got = name === undefined ? "is missing" : `"${name}" is no key of the data`;
  const hint = name === undefined ? "" : suggestion(name, known);
  const message = `partition.key ${got}; keys are ${known.join(", ") || "none"}${hint}`;
  throw new FedLoraError("scenario-invalid", message, { details: { path: "partition.key" } });
}
