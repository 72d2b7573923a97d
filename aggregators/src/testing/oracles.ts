import { dense, entry, plus, weightedMean } from "./dense.js";
import type { Dense } from "./dense.js";
import type { OracleResult, OracleRound } from "./method-case.js";

/** Of every tensor: where it was, plus the weighted mean of the deltas, smaller ones padded with zeros. */
export function meanOfUploads({ global, updates }: OracleRound): OracleResult {
  const tensors = new Map<string, Dense>();
  for (const [name, from] of global) {
    const terms = updates.flatMap(({ weight, tensors: own }) => {
      const matrix = own.get(name);
      return matrix === undefined ? [] : [{ weight, matrix }];
    });
    tensors.set(name, terms.length === 0 ? from : plus(from, weightedMean(terms)));
  }
  return { tensors };
}

/** Of every element: where it was, plus the weighted mean over the clients whose tensor reaches it. */
export function meanOfOwners({ global, updates }: OracleRound): OracleResult {
  const tensors = new Map<string, Dense>();
  for (const [name, from] of global) {
    const mean = dense(from.rows, from.columns, (row, column) => {
      const owners = updates.flatMap(({ weight, tensors: own }) => {
        const matrix = own.get(name);
        const reaches = matrix !== undefined && row < matrix.rows && column < matrix.columns;
        return reaches ? [{ weight, value: entry(matrix, row, column) }] : [];
      });
      const total = owners.reduce((sum, { weight }) => sum + weight, 0);
      return owners.reduce((sum, { weight, value }) => sum + (weight / total) * value, 0);
    });
    tensors.set(name, plus(from, mean));
  }
  return { tensors };
}
