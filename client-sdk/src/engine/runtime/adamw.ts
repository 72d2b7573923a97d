import type { OptimizerSettings } from "../engine.js";

/** One tensor's values with the first and second moments of its gradients; all of one length. */
export interface AdamWTensor {
  readonly values: Float32Array;
  readonly expAvg: Float32Array;
  readonly expAvgSq: Float32Array;
}

const f32 = Math.fround;

/**
 * One AdamW step in place (Loshchilov and Hutter 2019, algorithm 2), in float32 and in the operation order of
 * `torch.optim.AdamW` on a CPU, fused multiply-adds included: the moments are equal bit for bit, the values to the last
 * bit or two. The same inputs give the same bits on every machine.
 *
 * @param step 1-based count of steps of this tensor, for the bias correction
 * @param weightDecay decoupled: values are first scaled by 1 - learningRate * weightDecay; 0 for biases
 */
export function adamwStep(
  tensor: AdamWTensor,
  gradient: Float32Array,
  settings: Omit<OptimizerSettings, "kind">,
  learningRate: number,
  step: number,
): void {
  const { values, expAvg, expAvgSq } = tensor;
  const { beta1, beta2, weightDecay } = settings;
  const decay = f32(1 - learningRate * weightDecay);
  const firstWeight = f32(1 - beta1);
  const secondKeep = f32(beta2);
  const secondWeight = f32(1 - beta2);
  const stepSize = f32(-(learningRate / (1 - beta1 ** step)));
  const correction = f32(Math.sqrt(1 - beta2 ** step));
  const epsilon = f32(settings.epsilon);
  for (let i = 0; i < values.length; i++) {
    const g = gradient[i] ?? 0;
    const m0 = expAvg[i] ?? 0;
    // A product of two float32 is exact in float64, so rounding once after the sum is a fused multiply-add.
    const m = f32(firstWeight * f32(g - m0) + m0);
    const v = f32(f32(secondWeight * g) * g + f32((expAvgSq[i] ?? 0) * secondKeep));
    const denominator = f32(f32(f32(Math.sqrt(v)) / correction) + epsilon);
    expAvg[i] = m;
    expAvgSq[i] = v;
    values[i] = f32((values[i] ?? 0) * decay) + f32(f32(stepSize * m) / denominator);
  }
}
