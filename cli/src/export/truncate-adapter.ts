import { columnMatrix, factoredProductSvd, type TruncatedSvd } from "@fedlora/aggregators";
import type { DeltaFactors, OpenBaseDelta } from "@fedlora/client-sdk";
import type { StateDict } from "@fedlora/core";
import { denseProductSvd, type DenseRows } from "./dense-product-svd.js";
import type { ExportModule } from "./export-source.js";
import { makeAdapter, type MadeAdapter, type MadePair } from "./made-adapter.js";
import { adapterFactors } from "./stack-adapter.js";

/**
 * Cores above this size are decomposed by subspace iteration: half the time of a full decomposition at 500, and the errors
 * agree to 1e-12 even where the singular values are all alike.
 */
const largestCore = 128;

/** What a truncation left out of one module, in Frobenius norms. */
export interface ModuleTruncation {
  readonly name: string;
  readonly rank: number;
  /** Of what the pair stands for: scaling B A + the changes of the base weight. */
  readonly norm: number;
  readonly leftOut: number;
}

export interface TruncatedAdapter extends MadeAdapter {
  readonly modules: readonly ModuleTruncation[];
}

export interface TruncateOptions {
  /** Largest rank of any module; default: each module's own, of one that has no adapter the largest of those. */
  readonly rank?: number | undefined;
  /** After each module. */
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * An adapter for the base model as it was downloaded: per module the best approximation of a rank of scaling B A + the
 * changes of the base weight (Eckart and Young 1936), in the Frobenius norm, and the run's scaling.
 *
 * @throws FedLoraError `adapter-invalid` for values that are not finite, `cancelled`
 */
export async function truncateAdapter(
  modules: readonly ExportModule[],
  adapter: StateDict,
  deltas: readonly OpenBaseDelta[],
  { rank: wanted, onProgress, signal }: TruncateOptions = {},
): Promise<TruncatedAdapter> {
  const largest = Math.max(...modules.map(({ rank }) => rank));
  const pairs: MadePair[] = [];
  const truncations: ModuleTruncation[] = [];
  for (const module of modules) {
    signal?.throwIfAborted();
    const rank = Math.max(1, Math.min(wanted ?? (module.rank || largest), module.dIn, module.dOut));
    const svd = await decompose(module, adapter, deltas, rank);
    pairs.push(balancedPair(module, svd));
    truncations.push({ name: module.name, rank: svd.u.columns, norm: svd.norm, leftOut: svd.leftOut });
    onProgress?.(pairs.length);
  }
  return { ...makeAdapter(pairs, adapter), modules: truncations };
}

async function decompose(
  module: ExportModule,
  adapter: StateDict,
  deltas: readonly OpenBaseDelta[],
  rank: number,
): Promise<TruncatedSvd> {
  const { name, dIn, dOut, scaling } = module;
  const linear = { ...module, kind: "linear" as const, layer: null };
  const own = adapterFactors(module, adapter);
  const parts: DeltaFactors[] = [{ ...own, b: own.b.map((value) => scaling * value) }];
  const dense: DenseRows[] = [];
  for (const delta of deltas) {
    if (delta.ranks.get(name) === Number.POSITIVE_INFINITY) {
      dense.push((first, count) => delta.denseRows(linear, first, count));
    } else parts.push(await delta.factors(linear));
  }
  const columns = parts.reduce((sum, part) => sum + part.rank, 0);
  const [left, right] = [columnMatrix(dOut, columns), columnMatrix(dIn, columns)];
  let top = 0;
  for (const part of parts) {
    right.values.set(part.a, top * dIn);
    for (let q = 0; q < part.rank; q++) {
      for (let row = 0; row < dOut; row++) left.values[(top + q) * dOut + row] = part.b[row * part.rank + q] ?? 0;
    }
    top += part.rank;
  }
  return dense.length === 0
    ? factoredProductSvd(left, right, rank, largestCore)
    : denseProductSvd(left, right, dense, rank);
}

/** U diag(S) V^T = scaling B A with the square root of S in both factors, so that neither is large beside the other. */
function balancedPair({ name, dIn, dOut, scaling }: ExportModule, { u, s, v }: TruncatedSvd): MadePair {
  const rank = u.columns;
  const a = new Float32Array(rank * dIn);
  const b = new Float32Array(dOut * rank);
  for (let q = 0; q < rank; q++) {
    const root = Math.sqrt((s[q] ?? 0) / scaling);
    for (let column = 0; column < dIn; column++) a[q * dIn + column] = root * (v.values[q * dIn + column] ?? 0);
    for (let row = 0; row < dOut; row++) b[row * rank + q] = root * (u.values[q * dOut + row] ?? 0);
  }
  return { name, rank, scaling, a, b };
}

/** What is left out of all modules together, over their norm. */
export function relativeLeftOut(modules: readonly ModuleTruncation[]): number {
  const [leftOut, norm] = [modules.map((each) => each.leftOut), modules.map((each) => each.norm)];
  return Math.hypot(...norm) === 0 ? 0 : Math.hypot(...leftOut) / Math.hypot(...norm);
}
