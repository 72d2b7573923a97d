/** Probabilities of logits, in double precision; `temperature` divides the logits first. */
export function softmax(logits: Float32Array, temperature = 1): readonly number[] {
  const largest = logits.reduce((top, value) => Math.max(top, value), Number.NEGATIVE_INFINITY);
  const exponentials = Array.from(logits, (value) => Math.exp((value - largest) / temperature));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}
