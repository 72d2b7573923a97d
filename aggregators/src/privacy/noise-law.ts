import { adapterKeys, FedLoraError, toFloat32 } from "@fedlora/core";
import type { ResolvedAdapter, ResolvedModule, StateDict, TensorKind } from "@fedlora/core";

/** Squared Frobenius norms of a module's A and B; of VeRA, whose A and B are random and frozen, of its vectors d and b. */
export interface FactorNorms {
  readonly a: number;
  readonly b: number;
}

/**
 * E ||what noise of standard deviation t on every entry that travels adds to the effective weight||_F^2 =
 * linear t^2 + quadratic t^4. The scaling of the adapter is in it.
 */
export interface NoiseTerms {
  readonly linear: number;
  readonly quadratic: number;
}

export type AdapterForm = ResolvedAdapter["variant"];

/**
 * The law of one module, for the tensors of it that carry noise.
 *
 * `lora`, s (B + E_B)(A + E_A): s^2 t^2 (dOut ||A||^2 [E_B] + dIn ||B||^2 [E_A] + dOut dIn rank t^2 [both]).
 * `latent`, s B (R + E) A: s^2 t^2 ||A||^2 ||B||^2, which is s^2 t^2 rank^2 where A and B are orthonormal.
 * `vera`, s diag(b + e_b) B diag(d + e_d) A, in the mean over B in +-sqrt(6 / rank) and A in +-sqrt(6 / dIn), whose entries
 * have variances 2 / rank and 2 / dIn: s^2 t^2 (4 ||b||^2 [e_d] + 4 dOut ||d||^2 / rank [e_b] + 4 dOut t^2 [both]).
 */
export function moduleNoise(
  { dIn, dOut, rank, scaling }: Pick<ResolvedModule, "dIn" | "dOut" | "rank" | "scaling">,
  form: AdapterForm,
  noised: ReadonlySet<TensorKind>,
  { a, b }: FactorNorms,
): NoiseTerms {
  const square = scaling ** 2;
  const only = (kind: TensorKind, value: number): number => (noised.has(kind) ? value : 0);
  if (form === "latent") return { linear: only("lora-r", square * a * b), quadratic: 0 };
  if (form === "vera") {
    const linear = only("vera-d", 4 * b) + only("vera-b", (4 * dOut * a) / rank);
    return { linear: square * linear, quadratic: only("vera-d", only("vera-b", square * 4 * dOut)) };
  }
  return {
    linear: square * (only("lora-b", dOut * a) + only("lora-a", dIn * b)),
    quadratic: only("lora-a", only("lora-b", square * dOut * dIn * rank)),
  };
}

/**
 * The law of an aggregate of clients that each carry noise of their own.
 *
 * Averaging the factors divides the noise of both before they are multiplied: the quadratic term falls by (sum p_k^2)^2.
 * Averaging products, as exact methods do, lets it fall by sum p_k^2 alone: for K equal clients it is K times as large.
 *
 * @param concentration sum_k p_k^2 of the normalised weights: 1 / K for K equal clients, 1 for noise on the mean itself
 */
export function aggregatedNoise(
  { linear, quadratic }: NoiseTerms,
  concentration: number,
  averages: "factors" | "products",
): NoiseTerms {
  const power = averages === "factors" ? concentration ** 2 : concentration;
  return { linear: linear * concentration, quadratic: quadratic * power };
}

/** E ||noise||_F^2 at standard deviation `std` of every entry that travels. */
export function noiseEnergy({ linear, quadratic }: NoiseTerms, std: number): number {
  return linear * std ** 2 + quadratic * std ** 4;
}

export function addTerms(terms: readonly NoiseTerms[]): NoiseTerms {
  const sum = (key: keyof NoiseTerms): number => terms.reduce((total, one) => total + one[key], 0);
  return { linear: sum("linear"), quadratic: sum("quadratic") };
}

/**
 * Norms of the adapter of round 0, in the mean over its random values (`initialAdapter`).
 *
 * @param orthonormalA whether A has orthonormal rows (an initialisation by activations), instead of uniform entries
 */
export function initialNorms(
  { rank }: Pick<ResolvedModule, "rank">,
  form: AdapterForm,
  orthonormalA = false,
): FactorNorms {
  switch (form) {
    case "latent":
      return { a: rank, b: rank };
    case "vera":
      return { a: rank * 0.1 ** 2, b: 0 };
    case "lora":
      // Entries uniform in +-1 / sqrt(dIn) have a variance of 1 / (3 dIn).
      return { a: orthonormalA ? rank : rank / 3, b: 0 };
  }
}

/**
 * Norms of a module's tensors in an adapter of the run.
 *
 * @throws FedLoraError `adapter-invalid` where a tensor is missing
 */
export function factorNorms(adapter: StateDict, module: string, form: AdapterForm): FactorNorms {
  const keys = adapterKeys(module);
  const square = (name: string): number => {
    const tensor = adapter.get(name);
    if (tensor === undefined) throw new FedLoraError("adapter-invalid", `adapter tensor "${name}" is missing`);
    return toFloat32(tensor).reduce((sum, value) => sum + value * value, 0);
  };
  return form === "vera"
    ? { a: square(keys.scaleRank), b: square(keys.scaleOut) }
    : { a: square(keys.a), b: square(keys.b) };
}
