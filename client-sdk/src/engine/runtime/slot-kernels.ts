/**
 * The loops over every trained number of a slot. Order and rounding are part of the interface, so that results do not depend
 * on whose loops they are.
 */
export interface SlotKernels {
  /** In float64: four sums, of every fourth number each, the last up to three in the first; (1 + 2) + (3 + 4). */
  sumOfSquares(values: Float32Array): number;
  /** values = values * decay - rate * gradient, each operation rounded to float32, as are `decay` and `rate`. */
  descend(values: Float32Array, gradient: Float32Array, decay: number, rate: number): void;
}

const f32 = Math.fround;

/** In plain loops. */
export const plainKernels: SlotKernels = {
  sumOfSquares: (values) => sumOfSquares(values, 0, values.length),
  descend(values, gradient, decay, rate) {
    const { length } = values;
    for (let i = 0; i < length; i++) values[i] = f32((values[i] ?? 0) * decay) - f32(rate * (gradient[i] ?? 0));
  },
};

/** Of [from, to), in the order of `SlotKernels`. */
export function sumOfSquares(values: Float32Array, from: number, to: number): number {
  const end = to - ((to - from) & 3);
  let [first, second, third, fourth] = [0, 0, 0, 0];
  let i = from;
  for (; i < end; i += 4) {
    const [a, b, c, d] = [values[i] ?? 0, values[i + 1] ?? 0, values[i + 2] ?? 0, values[i + 3] ?? 0];
    first += a * a;
    second += b * b;
    third += c * c;
    fourth += d * d;
  }
  for (; i < to; i++) first += (values[i] ?? 0) ** 2;
  return first + second + (third + fourth);
}
