import { RandomStream, deriveKey, type RandomKey } from "@fedlora/core";
import { rowsByLabel } from "./dirichlet.js";
import { drawDirichlet } from "./gamma.js";
import type { Partition, PartitionedRows } from "./partition.js";
import { numbered } from "./shares.js";

/**
 * Every client draws its examples from all of them, so clients may share some; nothing is stored, so a million clients take
 * no more memory than one. With `alpha` each client draws the shares of its labels first.
 */
export function drawnPartition(
  clients: number,
  count: number,
  alpha: number | undefined,
  data: PartitionedRows,
  key: RandomKey,
): Partition {
  const pools = alpha === undefined ? [data.rows] : rowsByLabel(data).filter((rows) => rows.length > 0);
  const even = Float64Array.of(1);
  return {
    clients,
    nameOf: numbered,
    rowsOf: (client) => {
      const stream = new RandomStream(deriveKey(key, "drawn", client));
      const shares = alpha === undefined ? even : drawDirichlet(stream, pools.length, alpha);
      const taken = new Set<number>();
      return Int32Array.from({ length: count }, () => {
        const pool = pools[pick(stream, shares)] ?? data.rows;
        // A client does not hold an example twice unless it holds them all.
        for (let attempt = 0; ; attempt += 1) {
          const row = pool[stream.integer(pool.length)] ?? 0;
          if (attempt < 16 && taken.has(row)) continue;
          taken.add(row);
          return row;
        }
      });
    },
  };
}

function pick(stream: RandomStream, shares: Float64Array): number {
  if (shares.length === 1) return 0;
  let left = stream.uniform();
  for (let index = 0; index < shares.length - 1; index += 1) {
    left -= shares[index] ?? 0;
    if (left < 0) return index;
  }
  return shares.length - 1;
}
