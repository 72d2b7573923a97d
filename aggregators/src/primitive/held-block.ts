import { FedLoraError, toFloat32 } from "@fedlora/core";
import type { StateDict, TensorSpec } from "@fedlora/core";
import type { UpdateView } from "../method.js";
import { leadingBlock, tensorOf } from "./method-parts.js";
import { namingUpdate } from "./naming-update.js";
import { assertBlock } from "./owner-mean.js";

/** A tensor as the client holds it after training, in its own shape, row-major. */
export interface HeldBlock {
  readonly shape: readonly number[];
  /** What it downloaded. */
  readonly before: Float32Array;
  /** Plus its change. */
  readonly after: Float32Array;
}

/**
 * What an update of deltas says of a tensor's values.
 *
 * @throws FedLoraError `update-tensor-missing`, `update-shape`, `update-not-finite`, naming update and tensor
 */
export function heldBlock(update: UpdateView, spec: TensorSpec, global: StateDict): HeldBlock {
  return namingUpdate(update, spec.name, () => {
    const deltas = update.tensor(spec.name);
    const shape = update.shape(spec.name) ?? spec.shape;
    assertBlock(shape, spec);
    const before = toFloat32(leadingBlock(tensorOf(global, spec.name), shape));
    const after = deltas.map((delta, i) => (delta === 0 ? (before[i] ?? 0) : (before[i] ?? 0) + delta));
    if (!after.every((value) => Number.isFinite(value))) {
      throw new FedLoraError("update-not-finite", "holds a value that is not finite, or leads to one");
    }
    return { shape, before, after };
  });
}
