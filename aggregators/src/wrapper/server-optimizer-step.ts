import type { ServerOptimizerSpec } from "@fedlora/core";

type Floats = Float32Array | Float64Array;

/** What a step changes, element by element; arrays of one length. */
export interface ServerTensor {
  /** The global values; afterwards the new ones. */
  readonly values: Floats;
  /** What the method aggregated: the pseudo-gradient is this minus `values`, the direction to move in. */
  readonly aggregated: Floats;
  /** First moment (FedAvgM: the momentum), 0 at first. */
  readonly first: Floats;
  /** Second moment, 0 at first; FedAvgM leaves it alone. */
  readonly second: Floats;
}

export type ServerOptimizer = Exclude<ServerOptimizerSpec, { readonly kind: "none" }>;

/**
 * One step of a server optimizer in place. All arithmetic is float64 and rounded once, where an array holds float32.
 * With D = aggregated - x: FedAvgM m = beta m + D, x += eta m. The others m = beta1 m + (1 - beta1) D, and
 * v += D^2 (FedAdagrad), v = beta2 v + (1 - beta2) D^2 (FedAdam), v -= (1 - beta2) D^2 sign(v - D^2) (FedYogi), then
 * x += eta m / (sqrt(v) + tau). As in the paper there is no bias correction; some public code has one.
 *
 * Paper: Reddi et al., "Adaptive Federated Optimization", 2021; FedAvgM: Hsu et al. 2019.
 */
export function serverOptimizerStep(spec: ServerOptimizer, tensor: ServerTensor): void {
  if (spec.kind === "fedavgm") momentumStep(spec, tensor);
  else adaptiveStep(spec, tensor);
}

function momentumStep(
  { momentum, learningRate }: Extract<ServerOptimizer, { kind: "fedavgm" }>,
  { values, aggregated, first }: ServerTensor,
): void {
  for (let i = 0; i < values.length; i++) {
    const x = values[i] ?? 0;
    const m = momentum * (first[i] ?? 0) + ((aggregated[i] ?? 0) - x);
    first[i] = m;
    values[i] = x + learningRate * m;
  }
}

function adaptiveStep(
  spec: Exclude<ServerOptimizer, { kind: "fedavgm" }>,
  { values, aggregated, first, second }: ServerTensor,
): void {
  const { beta1, learningRate, tau } = spec;
  const secondMoment = secondMomentOf(spec);
  for (let i = 0; i < values.length; i++) {
    const x = values[i] ?? 0;
    const change = (aggregated[i] ?? 0) - x;
    const m = beta1 * (first[i] ?? 0) + (1 - beta1) * change;
    const v = secondMoment(second[i] ?? 0, change * change);
    first[i] = m;
    second[i] = v;
    values[i] = x + (learningRate * m) / (Math.sqrt(v) + tau);
  }
}

function secondMomentOf(spec: Exclude<ServerOptimizer, { kind: "fedavgm" }>): (v: number, square: number) => number {
  if (spec.kind === "fedadagrad") return (v, square) => v + square;
  const { beta2 } = spec;
  if (spec.kind === "fedadam") return (v, square) => beta2 * v + (1 - beta2) * square;
  return (v, square) => v - (1 - beta2) * square * Math.sign(v - square);
}
