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
    const after = new Float32Array(deltas.length);
    let check = 0;
    for (let i = 0; i < after.length; i++) {
      const delta = deltas[i] ?? 0;
      const from = before[i] ?? 0;
      // A change of zero leaves -0 what it is.
      const value = Math.fround(delta === 0 ? from : from + delta);
      after[i] = value;
      // 0, and NaN from the first value on that is not finite.
      check += value - value;
    }
    if (check !== 0) {
      throw new FedLoraError("update-not-finite", "holds a value that is not finite, or leads to one");
    }
    return { shape, before, after };
  });
}
