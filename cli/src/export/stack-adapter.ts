import type { DeltaFactors, OpenBaseDelta } from "@fedlora/client-sdk";
import { copyFloat32, FedLoraError, loraKeys, type StateDict } from "@fedlora/core";
import type { ExportModule } from "./export-source.js";
import { makeAdapter, type MadeAdapter, type MadePair } from "./made-adapter.js";

/**
 * The adapter and the changes of the base weights as one adapter of a higher rank for the base model as it was downloaded:
 * A' = [A; delta_A ...], B' = [B | delta_B / s ...] with the run's scaling s, so that s B' A' = s B A + the sum of
 * delta_B delta_A. Nothing is left out; float32 rounds delta_B / s.
 *
 * @throws FedLoraError `export-refused` where a change is a dense matrix, which no pair of a lower rank holds
 */
export async function stackAdapter(
  modules: readonly ExportModule[],
  adapter: StateDict,
  deltas: readonly OpenBaseDelta[],
): Promise<MadeAdapter> {
  const dense = modules.find(({ name }) => deltas.some(({ ranks }) => ranks.get(name) === Number.POSITIVE_INFINITY));
  if (dense !== undefined) {
    throw new FedLoraError(
      "export-refused",
      `the run changed "${dense.name}" by a whole matrix, which cannot be stacked; export it as "merged", or as ` +
        '"truncated", which tells what is left out',
      { details: { module: dense.name } },
    );
  }
  const pairs: MadePair[] = [];
  for (const module of modules) {
    const parts = await partsOf(module, adapter, deltas);
    pairs.push({ name: module.name, scaling: module.scaling, ...sideBySide(module, parts) });
  }
  return makeAdapter(
    pairs.filter(({ rank }) => rank > 0),
    adapter,
  );
}

/** The factors of a module, the adapter's first; those of a change with b / s, so that one scaling serves all. */
async function partsOf(
  module: ExportModule,
  adapter: StateDict,
  deltas: readonly OpenBaseDelta[],
): Promise<readonly DeltaFactors[]> {
  const parts = [adapterFactors(module, adapter)];
  for (const delta of deltas) {
    // A module's kind is of no matter here, and neither is its layer.
    const { rank, a, b } = await delta.factors({ ...module, kind: "linear", layer: null });
    parts.push({ rank, a, b: b.map((value) => value / module.scaling) });
  }
  return parts;
}

/** A [rank, dIn] and B [dOut, rank] of a module as the adapter holds them. */
export function adapterFactors({ name, rank }: ExportModule, adapter: StateDict): DeltaFactors {
  const keys = loraKeys(name);
  const read = (key: string): Float32Array => {
    const tensor = adapter.get(key);
    if (tensor !== undefined) return copyFloat32(tensor);
    if (rank === 0) return new Float32Array();
    throw new FedLoraError("adapter-invalid", `adapter tensor "${key}" is missing`, { details: { tensor: key } });
  };
  return { rank, a: read(keys.a), b: read(keys.b) };
}

function sideBySide({ dIn, dOut }: ExportModule, parts: readonly DeltaFactors[]): DeltaFactors {
  const rank = parts.reduce((sum, part) => sum + part.rank, 0);
  const a = new Float32Array(rank * dIn);
  const b = new Float32Array(dOut * rank);
  let top = 0;
  for (const part of parts) {
    a.set(part.a, top * dIn);
    for (let row = 0; row < dOut; row++) {
      b.set(part.b.subarray(row * part.rank, (row + 1) * part.rank), row * rank + top);
    }
    top += part.rank;
  }
  return { rank, a, b };
}
