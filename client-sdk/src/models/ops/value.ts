import * as tf from "@tensorflow/tfjs";

/** An opaque array value of the waist; shapes are known when a program is built. */
export interface Value {
  readonly shape: readonly number[];
}

/** Every value of the waist is a tfjs tensor; only the files of the waist, the tracer and the eager engine know it. */
export function tensorOf(value: Value): tf.Tensor {
  if (isTensor(value)) return value;
  throw new TypeError("a value of the waist is a tensor");
}

function isTensor(value: Value): value is tf.Tensor {
  return value instanceof tf.Tensor;
}

/** Length of one axis, counted from the end where negative. */
export function size(value: Value, axis: number): number {
  const length = value.shape.at(axis);
  if (length === undefined) throw new RangeError(`axis ${axis} of shape [${value.shape.join(", ")}]`);
  return length;
}

interface Differentiable<Saved extends readonly tf.Tensor[]> {
  readonly value: tf.Tensor;
  /** Kept for the backward pass: any other tensor made by `forward` is gone by then. */
  readonly saved: readonly [...Saved];
  /**
   * One gradient per input. Never the same tensor twice and never `dy` itself (clone it): tfjs disposes what it has
   * added up.
   */
  readonly backward: (dy: tf.Tensor, saved: Saved) => readonly tf.Tensor[];
}

/**
 * An op with a gradient of its own. tfjs records it as one tape entry, so its forward pass may use any kernel. Operands
 * that are never trained (weights, masks) are closed over instead of passed, and get no gradient.
 */
export function differentiable<Saved extends readonly tf.Tensor[]>(
  inputs: readonly Value[],
  forward: () => Differentiable<Saved>,
): tf.Tensor {
  const operation = tf.customGrad((...given) => {
    const save = given.at(-1) as unknown as (tensors: tf.Tensor[]) => void;
    const { value, saved, backward } = forward();
    save([...saved]);
    const gradFunc = (dy: tf.Tensor, kept: tf.Tensor[]): tf.Tensor[] =>
      tf.tidy(() => [...backward(dy, kept as readonly tf.Tensor[] as Saved)]);
    return { value, gradFunc };
  });
  return operation(...inputs.map(tensorOf));
}

/** A kernel of the tracing backend that computes several tfjs kernels' work in one graph node. */
export function runFused(kernel: string, inputs: tf.NamedTensorMap, attributes: tf.NamedAttrMap): tf.Tensor[] {
  const outputs = tf.engine().runKernel<tf.Tensor | tf.Tensor[]>(kernel, inputs, attributes);
  return Array.isArray(outputs) ? outputs : [outputs];
}

export function hasFused(kernel: string): boolean {
  // Declared without undefined, but that is what comes back for a kernel that is not there.
  const registered: unknown = tf.getKernel(kernel, tf.getBackend());
  return registered !== undefined;
}

let retained: tf.Tensor[] | undefined;

/**
 * Keeps a value that is never trained until the backward pass is over. What an op or a model makes for itself and reads
 * again in a gradient (tables, reshaped masks and labels) needs it: tfjs frees the forward pass before the backward.
 */
export function retain(x: Value): tf.Tensor {
  const tensor = tensorOf(x);
  if (retained !== undefined && !tensor.kept) retained.push(tf.keep(tensor));
  return tensor;
}

/** Frees what `body` retained, after it. */
export function whileRetaining<T>(body: () => T): T {
  const outer = retained;
  const mine: tf.Tensor[] = [];
  retained = mine;
  try {
    return body();
  } finally {
    retained = outer;
    for (const tensor of mine) tensor.dispose();
  }
}
