import { type AdaptableModule, FedLoraError } from "@fedlora/core";
import type { DeltaFactors, OpenBaseDelta } from "./base-delta.js";

/** Values of a block: 1 MiB. */
const blockValues = 256 * 1024;
/** Multiplications between two turns of the event loop: some 4 ms. */
const blockProducts = 2 * 1024 * 1024;

/** Where a module's matrix comes from and goes to, F32, some rows at a time and in order. */
export interface ModuleRows {
  /** Fills `values` with the rows from `first` on. */
  read(values: Float32Array<ArrayBuffer>, first: number): Promise<void>;
  /** Takes those rows, changed; `values` is overwritten afterwards. */
  write(values: Float32Array<ArrayBuffer>, first: number): Promise<void>;
}

/** What one delta of one segment adds to a module. */
type Change =
  | ({ readonly kind: "factored" } & DeltaFactors)
  | { readonly kind: "dense"; readonly delta: OpenBaseDelta; rows: Float32Array };

/**
 * Adds changes to a module's matrix [dOut, dIn], block by block: memory holds a block of rows and the module's factors.
 *
 * @param segments the changes of one are added together in float64 and rounded once to float32, one after the other
 * @throws FedLoraError `adapter-invalid` where a weight would not be finite
 */
export async function changeModule(
  module: AdaptableModule,
  segments: readonly (readonly OpenBaseDelta[])[],
  rows: ModuleRows,
): Promise<void> {
  const { name, dIn, dOut } = module;
  const changes = await readChanges(module, segments);
  const products = changes.flat().reduce((sum, change) => sum + (change.kind === "dense" ? 1 : change.rank), 1);
  const blockRows = Math.max(1, Math.floor(Math.min(blockValues, blockProducts / products) / dIn));
  const block = new Float32Array(Math.min(blockRows, dOut) * dIn);
  const sums = new Float64Array(dIn);
  for (let first = 0; first < dOut; first += blockRows) {
    const count = Math.min(blockRows, dOut - first);
    const values = block.subarray(0, count * dIn);
    await rows.read(values, first);
    for (const change of changes.flat()) {
      if (change.kind === "dense") change.rows = await change.delta.denseRows(module, first, count);
    }
    for (let row = 0; row < count; row++) {
      const weights = values.subarray(row * dIn, (row + 1) * dIn);
      sums.set(weights);
      for (const segment of changes) {
        for (const change of segment) addRow(sums, change, first + row, row);
        for (let column = 0; column < dIn; column++) sums[column] = Math.fround(sums[column] ?? 0);
      }
      weights.set(sums);
      if (!Number.isFinite(sums.reduce((total, value) => total + value, 0))) {
        throw new FedLoraError("adapter-invalid", `base deltas make row ${first + row} of "${name}" not finite`, {
          details: { module: name },
        });
      }
    }
    await rows.write(values, first);
  }
}

async function readChanges(
  module: AdaptableModule,
  segments: readonly (readonly OpenBaseDelta[])[],
): Promise<readonly (readonly Change[])[]> {
  const read = async (delta: OpenBaseDelta): Promise<Change> =>
    delta.ranks.get(module.name) === Number.POSITIVE_INFINITY
      ? { kind: "dense", delta, rows: new Float32Array(0) }
      : { kind: "factored", ...(await delta.factors(module)) };
  return Promise.all(segments.map((segment) => Promise.all(segment.map(read))));
}

/** @param row of the matrix; `blockRow` of the block that is held of a dense change */
function addRow(sums: Float64Array, change: Change, row: number, blockRow: number): void {
  const dIn = sums.length;
  if (change.kind === "dense") {
    for (let column = 0; column < dIn; column++) {
      sums[column] = (sums[column] ?? 0) + (change.rows[blockRow * dIn + column] ?? 0);
    }
    return;
  }
  const { rank, a, b } = change;
  for (let k = 0; k < rank; k++) {
    const factor = b[row * rank + k] ?? 0;
    for (let column = 0; column < dIn; column++) {
      sums[column] = (sums[column] ?? 0) + factor * (a[k * dIn + column] ?? 0);
    }
  }
}
