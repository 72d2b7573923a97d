import type { OptimizerSettings } from "../engine.js";

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
): void {
  const momentum = f32(settings.momentum ?? 0);
  const decay = f32(1 - learningRate * settings.weightDecay);
  const rate = f32(learningRate);
  const { length } = values;
  if (momentum === 0) {
    // The usual case by itself: this loop runs over every trained number in every step.
    for (let i = 0; i < length; i++) values[i] = f32((values[i] ?? 0) * decay) - f32(rate * (gradient[i] ?? 0));
    return;
  }
  for (let i = 0; i < length; i++) {
    const move = f32(f32(momentum * (buffer[i] ?? 0)) + (gradient[i] ?? 0));
    buffer[i] = move;
    values[i] = f32((values[i] ?? 0) * decay) - f32(rate * move);
  }
}
