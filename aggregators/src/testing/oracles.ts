import { block, dense, entry, keyOf, norm, plus, product, times, weightedMean } from "./dense.js";
import type { Dense } from "./dense.js";
import type { OracleResult, OracleRound } from "./method-case.js";

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

/** q-FedAvg as written: Delta_k = F^q L (w - w_k), h_k = q F^(q - 1) ||L (w - w_k)||^2 + L F^q, w - sum Delta / sum h. */
export function fairStep({ q, lipschitz }: { readonly q: number; readonly lipschitz: number }) {
  return ({ global, updates }: OracleRound): OracleResult => {
    const clients = updates.map(({ weight, receivedLoss, tensors }) => {
      const loss = receivedLoss! + 1e-10;
      const size = lipschitz * Math.hypot(...[...tensors.values()].map(norm));
      const divisor = q * loss ** (q - 1) * size ** 2 + lipschitz * loss ** q;
      return { factor: weight * loss ** q * lipschitz, divisor: weight * divisor, tensors };
    });
    const divisor = clients.reduce((sum, client) => sum + client.divisor, 0);
    const moved = [...global].map(([name, from]): [string, Dense] => {
      const steps = clients.map(({ factor, tensors }) => times(factor / divisor, tensors.get(name)!));
      return [name, steps.reduce(plus, from)];
    });
    return { tensors: new Map(moved) };
  };
}

/** HetLoRA without a cap: zero-padded values by the norm of s B A over all modules; what no rank reaches stays. */
export function meanByProductNorms({ global, updates, modules, scaling }: OracleRound): OracleResult {
  const clients = updates.map(({ weight, tensors: deltas }) => {
    const values = new Map(
      [...deltas].map(([name, delta]): [string, Dense] => {
        return [name, plus(block(global.get(name)!, delta.rows, delta.columns), delta)];
      }),
    );
    const norms = modules.map((module) => {
      const a = values.get(keyOf(module, "lora_A.weight"));
      const b = values.get(keyOf(module, "lora_B.weight"));
      return a === undefined || b === undefined ? 0 : scaling(module) * norm(product(b, a));
    });
    return { values, weight: weight * Math.hypot(...norms) };
  });
  const tensors = new Map<string, Dense>();
  for (const [name, from] of global) {
    const terms = clients.flatMap(({ values, weight }) => {
      const matrix = values.get(name);
      return matrix === undefined ? [] : [{ weight, matrix }];
    });
    if (terms.length === 0) continue;
    const mean = weightedMean(terms);
    const isReached = (row: number, column: number): boolean => row < mean.rows && column < mean.columns;
    tensors.set(
      name,
      dense(from.rows, from.columns, (row, column) => entry(isReached(row, column) ? mean : from, row, column)),
    );
  }
  return { tensors };
}
