import { elementCount, FedLoraError, toFloat32 } from "@fedlora/core";
import type { StateDict, TensorSpec } from "@fedlora/core";
import type { AggregationPass } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { stackedProductNorms } from "./gram.js";

/** Squared Frobenius norms for one module. */
export interface FactorBias {
  /** || sum p_k B_k A_k - Bbar Abar ||^2 */
  readonly residual: number;
  /** || sum p_k B_k A_k ||^2 */
  readonly ideal: number;
}

interface Sample {
  readonly id: string;
  readonly weight: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
}
/** The samples in ascending order of id. */
interface SampleState {
  samples: Sample[];
}

/** Multiply-adds that the Gram matrices of a round may cost: about a second. */
const maxWork = 2 ** 30;

/**
 * How far the mean of the factors is from the mean of the products, module by module:
 * sum p_k B_k A_k - Bbar Abar = sum p_k (B_k - Bbar)(A_k - Abar), the cross-covariance of the factors over the clients.
 *
 * It needs each update, so it is measured on a sample: the updates with the smallest ids, at most `maxClients`, fewer
 * for large adapters (the work grows with the square of clients x rank), none where not even two are affordable. Updates are deltas against the global adapter.
 * The state holds the sampled factors of the groups under way, 4 rank (dIn + dOut) bytes per client, no dense product.
 */
export function factorBiasPass(
  name: string,
  groups: readonly AdapterGroup[],
  maxClients: number,
  global: StateDict,
): AggregationPass<SampleState, FactorBias | undefined> {
  const factorsOf = new Map(groups.flatMap(({ name: module, factors }) => (factors ? [[module, factors]] : [])));
  const factors = (module: string): { a: TensorSpec; b: TensorSpec } => {
    const found = factorsOf.get(module);
    if (found === undefined) throw new FedLoraError("internal", `group "${module}" has no factors`);
    return found;
  };
  const sampleSize = Math.min(maxClients, affordableClients([...factorsOf.values()]));
  const keep = (samples: readonly Sample[]): Sample[] =>
    samples.toSorted((x, y) => (x.id < y.id ? -1 : 1)).slice(0, sampleSize);
  return {
    name,
    groups: sampleSize < 2 ? [] : groups.filter((group) => group.factors !== undefined),
    init: () => ({ samples: [] }),
    fold(state, update, group) {
      const last = state.samples.at(-1);
      const isFull = state.samples.length >= sampleSize;
      if (update.weight === 0 || (isFull && last !== undefined && last.id < update.id)) return;
      const { a, b } = factors(group.name);
      const { id, weight } = update;
      // The view's array is only valid until its next call.
      const sample = { id, weight, a: update.tensor(a.name).slice(), b: update.tensor(b.name).slice() };
      state.samples = keep([...state.samples, sample]);
    },
    merge(into, other) {
      into.samples = keep([...into.samples, ...other.samples]);
    },
    seal(state, group) {
      return state.samples.length === 0 ? undefined : biasOf(state.samples, factors(group.name), global);
    },
    stateBytes(group) {
      const { a, b } = factors(group.name);
      return 4 * sampleSize * (elementCount(a.shape) + elementCount(b.shape));
    },
  };
}

/** The relative bias over all modules: sqrt(sum residual / sum ideal); undefined when nothing was measured. */
export function relativeBias(parts: Iterable<FactorBias | undefined>): number | undefined {
  const measured = [...parts].filter((part) => part !== undefined);
  if (measured.length === 0) return undefined;
  const residual = measured.reduce((sum, part) => sum + part.residual, 0);
  const ideal = measured.reduce((sum, part) => sum + part.ideal, 0);
  return residual === 0 ? 0 : Math.sqrt(residual / ideal);
}

/** ((clients + 1) rank)^2 (dIn + dOut) / 2 multiply-adds per module. */
function affordableClients(modules: readonly { a: TensorSpec; b: TensorSpec }[]): number {
  const perSquare = modules.reduce((sum, { a, b }) => {
    const [rank = 0, dIn = 0] = a.shape;
    return sum + (rank * rank * (dIn + (b.shape[0] ?? 0))) / 2;
  }, 0);
  return Math.floor(Math.sqrt(maxWork / perSquare)) - 1;
}

/**
 * Stacks factors: block 0 is the mean pair (Bbar, Abar), block k the centred pair (p_k (B_k - Bbar), A_k - Abar).
 * All blocks together multiply to sum p_k B_k A_k, those from 1 on to the residual, without cancellation.
 */
function biasOf(samples: readonly Sample[], factors: { a: TensorSpec; b: TensorSpec }, global: StateDict): FactorBias {
  const total = samples.reduce((sum, { weight }) => sum + weight, 0);
  const shares = samples.map(({ weight }) => weight / total);
  const a = centredBlocks(
    samples.map((sample) => sample.a),
    shares,
    valuesOf(global, factors.a),
  );
  const b = centredBlocks(
    samples.map((sample) => sample.b),
    shares,
    valuesOf(global, factors.b),
  );
  shares.forEach((share, k) => {
    const block = b[k + 1];
    block?.forEach((value, i) => (block[i] = share * value));
  });
  const [dOut = 0, rank = 0] = factors.b.shape;
  const { all, withoutFirst } = stackedProductNorms(a, b, { rank, dIn: factors.a.shape[1] ?? 0, dOut });
  return { residual: withoutFirst, ideal: all };
}

/** [global + mean delta, delta_1 - mean delta, delta_2 - mean delta, ...] in float64. */
function centredBlocks(deltas: readonly Float32Array[], shares: readonly number[], from: Float32Array): Float64Array[] {
  const mean = new Float64Array(from.length);
  deltas.forEach((delta, k) => {
    const share = shares[k] ?? 0;
    for (let i = 0; i < mean.length; i++) mean[i] = (mean[i] ?? 0) + share * (delta[i] ?? 0);
  });
  const centred = deltas.map((delta) => Float64Array.from(delta, (value, i) => value - (mean[i] ?? 0)));
  return [mean.map((value, i) => value + (from[i] ?? 0)), ...centred];
}

function valuesOf(state: StateDict, { name }: TensorSpec): Float32Array {
  const tensor = state.get(name);
  if (tensor === undefined) throw new FedLoraError("tensor-invalid", `the global adapter has no "${name}"`);
  return toFloat32(tensor);
}
