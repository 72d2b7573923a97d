import { deriveKey, type RandomKey } from "@fedlora/core";
import type { SimulationData } from "../data/simulation-data.js";
import { shuffled } from "../partition/iid.js";
import type { Partition } from "../partition/partition.js";
import { ClientData, heldOutCount } from "../runtime/client-data.js";

/** What decides a client's data. */
export interface OwnDataParts {
  readonly key: RandomKey;
  readonly data: SimulationData;
  readonly partition: Partition;
  /** Share of a client's examples that it sets aside for federated evaluation. */
  readonly heldOutShare: number;
}

/** A client's examples, and which of them it sets aside. */
export function ownDataOf(
  { key, data, partition, heldOutShare }: OwnDataParts,
  client: number,
  relabel?: (label: number) => number,
): ClientData {
  // A partition may order a client's rows by label; what is set aside must be like what is left.
  const rows = shuffled(partition.rowsOf(client), deriveKey(key, "held-out", client));
  const cut = rows.length - heldOutCount(rows.length, heldOutShare);
  return new ClientData(partition.nameOf(client), data, {
    trainRows: rows.subarray(0, cut),
    heldOutRows: rows.subarray(cut),
    relabel,
  });
}
