import * as tf from "@tensorflow/tfjs";
import { differentiable, tensorOf, whileRetaining } from "./value.js";
import type { Value } from "./value.js";

/** The value of `loss` (a scalar) and its gradients with respect to `parameters`, in their order. */
export function valueAndGradients(
  loss: () => Value,
  parameters: readonly Value[],
): { readonly value: Value; readonly gradients: readonly Value[] } {
  const differentiate = tf.valueAndGrads(() => tf.reshape<tf.Rank.R0>(tensorOf(loss()), []));
  const { value, grads } = whileRetaining(() => differentiate(parameters.map(tensorOf)));
  return { value, gradients: grads };
}

/**
 * Runs `body` and forgets everything in between: the backward pass runs it again (Chen et al. 2016). `body` must take
 * everything that is trained through its arguments.
 */
export function checkpoint(inputs: readonly Value[], body: (inputs: readonly Value[]) => Value): Value {
  return differentiable(inputs, () => ({
    value: tensorOf(body(inputs)),
    saved: inputs.map(tensorOf),
    backward: (dy, saved) => gradientsWithinBackward(saved, dy, body),
  }));
}

function gradientsWithinBackward(
  inputs: readonly tf.Tensor[],
  dy: tf.Tensor,
  body: (inputs: readonly Value[]) => Value,
): tf.Tensor[] {
  // A gradient inside a gradient ends with tfjs forgetting the tape of the outer one.
  const state = tf.engine().state;
  const outerTape = state.activeTape;
  try {
    return tf.grads((...given: tf.Tensor[]) => tensorOf(body(given)))([...inputs], dy);
  } finally {
    state.activeTape = outerTape;
  }
}
