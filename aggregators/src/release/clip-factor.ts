import { FedLoraError } from "@fedlora/core";
import type { TensorLayout } from "@fedlora/core";
import type { UpdateView } from "../method.js";

/**
 * The L2 norm over all tensors of a layout, in float64.
 *
 * @throws FedLoraError `update-not-finite`, `update-tensor-missing`
 */
export function updateNorm(update: UpdateView, layout: TensorLayout): number {
  let sum = 0;
  for (const { name } of layout) {
    for (const value of update.tensor(name)) sum += value * value;
  }
  if (Number.isFinite(sum)) return Math.sqrt(sum);
  throw new FedLoraError("update-not-finite", `update "${update.id}" has no finite norm`, {
    details: { updateId: update.id },
  });
}

/**
 * What an update is multiplied with so that its norm is at most `clipNorm`: 1, or clipNorm / norm rounded down to a float32
 * that holds the bound for real numbers, whatever the rounding of `norm` was.
 *
 * @param norm as `updateNorm` gives it, over `count` values
 */
export function clipFactor(norm: number, clipNorm: number, count: number): number {
  // A sum of n terms in order, and a root: a relative error of at most (n + 2) 2^-53 to first order.
  const bound = norm * (1 + (count + 8) * 2 ** -53);
  return bound <= clipNorm ? 1 : floorFloat32(clipNorm / bound);
}

/** The largest float32 that is not above a positive number. */
export function floorFloat32(value: number): number {
  const nearest = Math.fround(value);
  if (nearest <= value) return nearest;
  const bits = new DataView(new ArrayBuffer(4));
  bits.setFloat32(0, nearest);
  bits.setInt32(0, bits.getInt32(0) - 1);
  return bits.getFloat32(0);
}
