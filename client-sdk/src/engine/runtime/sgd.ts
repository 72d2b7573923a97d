import type { OptimizerSettings } from "../engine.js";
import { plainKernels, type SlotKernels } from "./slot-kernels.js";

const f32 = Math.fround;

/**
 * One step of SGD in place, with decoupled weight decay and PyTorch's momentum (buffer = momentum * buffer + gradient,
 * without dampening), in float32.
 *
 * @param buffer the momentum's; untouched where momentum is 0
 */
export function sgdStep(
  values: Float32Array,
  buffer: Float32Array,
  gradient: Float32Array,
  settings: Pick<OptimizerSettings, "momentum" | "weightDecay">,
  learningRate: number,
  kernels: SlotKernels = plainKernels,
): void {
  const momentum = f32(settings.momentum ?? 0);
  const decay = f32(1 - learningRate * settings.weightDecay);
  const rate = f32(learningRate);
  const { length } = values;
  if (momentum === 0) {
    kernels.descend(values, gradient, decay, rate);
    return;
  }
  for (let i = 0; i < length; i++) {
    const move = f32(f32(momentum * (buffer[i] ?? 0)) + (gradient[i] ?? 0));
    buffer[i] = move;
    values[i] = f32((values[i] ?? 0) * decay) - f32(rate * move);
  }
}
