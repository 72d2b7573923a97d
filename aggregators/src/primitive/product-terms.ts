import { elementCount, FedLoraError, shapesEqual, toFloat32 } from "@fedlora/core";
import type { StateDict, TensorSpec } from "@fedlora/core";
import { columnMatrix } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import type { AggregationPass, TensorGroup, UpdateView } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { tensorOf } from "./method-parts.js";

/** The factors of one module at full rank: A [rank, dIn] and B [dOut, rank]. */
export interface FactorSpecs {
  readonly a: TensorSpec;
  readonly b: TensorSpec;
}

/** What an update says of one module: changes of its factors, in the client's rank. */
export interface FactorDeltas {
  readonly rank: number;
  /** [rank, dIn], row-major. */
  readonly a: Float32Array;
  /** [dOut, rank], row-major. */
  readonly b: Float32Array;
}

/** One client's factors of a module. */
export interface ProductTerm extends FactorDeltas {
  readonly id: string;
  readonly weight: number;
  /** weight / sum of the weights of all that the pass counts. */
  readonly share: number;
}

type Held = Omit<ProductTerm, "share">;

export interface ProductTermsState {
  held: Held[];
  /** Ids and weights of updates that do not hold the module. */
  absent: Pick<Held, "id" | "weight">[];
}

export interface ProductTermsOptions<Sealed> {
  /**
   * Whether updates that do not hold a module count in the shares (as zero products), or only those that hold it.
   * Default: only those.
   */
  readonly countAbsent?: boolean;
  /** Updates expected, for the memory plan; default 1. */
  readonly expected?: number;
  /** @param terms by ascending id, all with a weight above 0; may be empty */
  readonly seal: (terms: readonly ProductTerm[], group: AdapterGroup & { readonly factors: FactorSpecs }) => Sealed;
}

/**
 * Collects the factors of all updates, module by module, for methods that need the products B_k A_k and not only a mean:
 * `seal` sees them in the order of the ids, whatever the order of arrival or the sharding, so what it computes in float64
 * has the same bits everywhere. Memory is 4 rank (dIn + dOut) bytes per client for the module under way.
 */
export function productTermsPass<Sealed>(
  name: string,
  groups: readonly AdapterGroup[],
  { countAbsent = false, expected = 1, seal }: ProductTermsOptions<Sealed>,
): AggregationPass<ProductTermsState, Sealed> {
  return {
    name,
    groups: factorGroups(groups),
    init: () => ({ held: [], absent: [] }),
    fold(state, update, group) {
      const { id, weight } = update;
      if (weight === 0) return;
      const deltas = readFactors(update, factorsOf(group));
      if (deltas === undefined) state.absent.push({ id, weight });
      // The view's arrays are only valid until its next call.
      else state.held.push({ id, weight, ...deltas });
    },
    merge(into, other) {
      into.held.push(...other.held);
      into.absent.push(...other.absent);
    },
    seal({ held, absent }, group) {
      const counted = byId(countAbsent ? [...held, ...absent] : held);
      const total = counted.reduce((sum, { weight }) => sum + weight, 0);
      const terms = byId(held).map((term) => ({ ...term, share: term.weight / total }));
      const factors = factorsOf(group);
      return seal(terms, { ...group, factors });
    },
    stateBytes(group) {
      const { a, b } = factorsOf(group);
      return 4 * expected * (elementCount(a.shape) + elementCount(b.shape));
    },
  };
}

/** The groups that have factors: those of adapted modules. */
export function factorGroups(
  groups: readonly AdapterGroup[],
): readonly (AdapterGroup & { readonly factors: FactorSpecs })[] {
  return groups.flatMap(({ name, tensors, factors }) => (factors === undefined ? [] : [{ name, tensors, factors }]));
}

export function factorsOf(group: TensorGroup): FactorSpecs {
  const { factors } = group as AdapterGroup;
  if (factors === undefined) throw new FedLoraError("internal", `group "${group.name}" has no factors`);
  return factors;
}

/** [rank, dIn, dOut] at full rank. */
export function factorSizes({ a, b }: FactorSpecs): {
  readonly rank: number;
  readonly dIn: number;
  readonly dOut: number;
} {
  return { rank: a.shape[0] ?? 0, dIn: a.shape[1] ?? 0, dOut: b.shape[0] ?? 0 };
}

/** The rank at which an update holds a module; undefined: it does not. */
export function heldRank(update: UpdateView, { a, b }: FactorSpecs): number | undefined {
  const [shapeA, shapeB] = [update.shape(a.name), update.shape(b.name)];
  return shapeA === undefined && shapeB === undefined ? undefined : (shapeA?.[0] ?? shapeB?.[1] ?? 0);
}

/**
 * An update's factors of one module, copied; undefined where it holds neither.
 *
 * @throws FedLoraError `update-tensor-missing` (one without the other), `update-shape` (other sides than the module's, a
 *   rank above its own), `update-not-finite`; `details.updateId` and `details.tensor` say where
 */
export function readFactors(update: UpdateView, factors: FactorSpecs): FactorDeltas | undefined {
  const rank = heldRank(update, factors);
  if (rank === undefined) return undefined;
  const { rank: most, dIn, dOut } = factorSizes(factors);
  const held = Math.min(rank, most);
  return {
    rank: held,
    a: readTensor(update, factors.a.name, [held, dIn]),
    b: readTensor(update, factors.b.name, [dOut, held]),
  };
}

function readTensor(update: UpdateView, name: string, expected: readonly number[]): Float32Array {
  const shape = update.shape(name);
  const fail = (code: "update-tensor-missing" | "update-shape" | "update-not-finite", problem: string): never => {
    throw new FedLoraError(code, `update "${update.id}", tensor "${name}": ${problem}`, {
      details: { updateId: update.id, tensor: name },
    });
  };
  if (shape === undefined) return fail("update-tensor-missing", "it comes without its partner");
  const asText = (sizes: readonly number[]): string => `[${sizes.join(", ")}]`;
  if (!shapesEqual(shape, expected)) {
    return fail("update-shape", `its shape is ${asText(shape)}, expected ${asText(expected)}`);
  }
  const values = update.tensor(name).slice();
  if (!allFinite(values)) return fail("update-not-finite", "it holds a value that is not a finite number");
  return values;
}

/** x - x is 0 but for NaN and the infinities; a sum needs no branch per value. */
export function allFinite(values: Float32Array | Float64Array): boolean {
  let sum = 0;
  // A counted loop: for...of makes an object of every value where both kinds of arrays come by.
  let next = 0;
  while (next < values.length) {
    const x = values[next] ?? 0;
    sum += x - x;
    next += 1;
  }
  return sum === 0;
}

const byId = <T extends { readonly id: string }>(items: readonly T[]): T[] =>
  items.toSorted((x, y) => (x.id < y.id ? -1 : 1));

/** The factors of a module in a state, row-major. */
export interface FactorValues {
  readonly a: Float32Array;
  readonly b: Float32Array;
}

export function factorValues(state: StateDict, { a, b }: FactorSpecs): FactorValues {
  return { a: toFloat32(tensorOf(state, a.name)), b: toFloat32(tensorOf(state, b.name)) };
}

/** A client's A_k^T [dIn, r_k] after its update, by columns: what it started from plus the delta, in float64. */
export function termA(term: FactorDeltas, factors: FactorSpecs, from: FactorValues): ColumnMatrix {
  const { dIn } = factorSizes(factors);
  return columnMatrix(dIn, term.rank, sumOf(term.a, from.a));
}

/** x + y in float64, as long as x. */
export function sumOf(x: Float32Array, y: Float32Array | undefined): Float64Array {
  const out = new Float64Array(x);
  if (y !== undefined) for (let i = 0; i < out.length; i++) out[i] = (out[i] ?? 0) + (y[i] ?? 0);
  return out;
}

/** A client's B_k [dOut, r_k] after its update, by columns. */
export function termB(term: FactorDeltas, factors: FactorSpecs, from: FactorValues): ColumnMatrix {
  const { rank, dOut } = factorSizes(factors);
  const out = columnMatrix(dOut, term.rank);
  for (let i = 0; i < dOut; i++) {
    for (let q = 0; q < term.rank; q++) {
      out.values[q * dOut + i] = (term.b[i * term.rank + q] ?? 0) + (from.b[i * rank + q] ?? 0);
    }
  }
  return out;
}

/** Matrices of the same height side by side. */
export function sideBySide(rows: number, blocks: readonly ColumnMatrix[]): ColumnMatrix {
  const out = columnMatrix(
    rows,
    blocks.reduce((sum, { columns }) => sum + columns, 0),
  );
  let at = 0;
  for (const { values } of blocks) {
    out.values.set(values, at);
    at += values.length;
  }
  return out;
}

/** Scales a matrix in place and returns it. */
export function scaled(matrix: ColumnMatrix, factor: number): ColumnMatrix {
  const { values } = matrix;
  for (let i = 0; i < values.length; i++) values[i] = factor * (values[i] ?? 0);
  return matrix;
}

/** [B_1 | ... | B_m] and [p_1 A_1; ...; p_m A_m]^T, by columns: their product is sum_k p_k B_k A_k. */
export function stackTerms(
  terms: readonly ProductTerm[],
  factors: FactorSpecs,
  from: FactorValues,
): { readonly left: ColumnMatrix; readonly right: ColumnMatrix } {
  const { dIn, dOut } = factorSizes(factors);
  return {
    left: sideBySide(
      dOut,
      terms.map((term) => termB(term, factors, from)),
    ),
    right: sideBySide(
      dIn,
      terms.map((term) => scaled(termA(term, factors, from), term.share)),
    ),
  };
}
