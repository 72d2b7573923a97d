import { FedLoraError } from "@fedlora/core";
import { plainKernels, type SlotKernels } from "./slot-kernels.js";

/** Gradients by tensor name; iterated in insertion order, so sums have one order. */
export type Gradients = ReadonlyMap<string, Float32Array>;

/**
 * L2 norm over all gradients, summed in float64.
 *
 * Throws `update-not-finite` naming the first tensor with a gradient that is not finite.
 */
export function globalNorm(gradients: Gradients, kernels: SlotKernels = plainKernels): number {
  let total = 0;
  for (const [name, gradient] of gradients) {
    const sum = kernels.sumOfSquares(gradient);
    if (!Number.isFinite(sum)) {
      throw new FedLoraError("update-not-finite", `the gradient of "${name}" is not finite`, {
        details: { tensor: name },
      });
    }
    total += sum;
  }
  return Math.sqrt(total);
}

/** Scales all gradients so that their norm is at most `maxNorm`, with the 1e-6 of PyTorch's `clip_grad_norm_`. */
export function clipToNorm(gradients: Gradients, norm: number, maxNorm: number): void {
  const scale = Math.fround(maxNorm / (norm + 1e-6));
  if (scale >= 1) return;
  for (const gradient of gradients.values()) {
    for (let i = 0; i < gradient.length; i++) gradient[i] = (gradient[i] ?? 0) * scale;
  }
}

/** sum += values, or sum = values where the buffer is still empty. */
export function addInto(sum: Float32Array, values: Float32Array, isFirst: boolean): void {
  if (isFirst) {
    sum.set(values);
    return;
  }
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (values[i] ?? 0);
}

/** Sums per-example gradients [batch, ...] into `sums`, as they are; throws `update-not-finite` naming the tensor. */
export function addExamples(sums: Gradients, examples: Gradients, batch: number, isFirst: boolean): void {
  globalNorm(examples);
  for (let row = 0; row < batch; row++) {
    for (const [name, gradient] of examples) {
      const sum = sums.get(name);
      if (sum === undefined) continue;
      const size = sum.length;
      addInto(sum, gradient.subarray(row * size, (row + 1) * size), isFirst && row === 0);
    }
  }
}
