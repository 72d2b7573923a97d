import * as tf from "@tensorflow/tfjs";
import { numbersOf } from "./kernel.js";
import type { TraceKernel, TraceKernels } from "./kernel.js";

function reduction(op: string): TraceKernel {
  return ({ backend, input, attributes }) => {
    const x = input("x");
    const axes = tf.util.parseAxisParam(numbersOf(attributes["axis"] ?? [...x.shape.keys()], "axis"), x.shape);
    const keepDims = attributes["keepDims"] === true;
    if (axes.length === 0) return backend.alias(x);
    const shape = x.shape.flatMap((size, axis) => (axes.includes(axis) ? (keepDims ? [1] : []) : [size]));
    return backend.emit(
      op,
      [backend.nameOf(x), backend.ints(axes)],
      { shape, dtype: x.dtype },
      { keepdims: { int: keepDims ? 1 : 0 } },
    );
  };
}

export const reduceKernels: TraceKernels = {
  Sum: reduction("ReduceSum"),
  Mean: reduction("ReduceMean"),
  Max: reduction("ReduceMax"),
  Softmax: ({ backend, input }) => {
    const x = input("logits");
    return backend.emit("Softmax", [backend.nameOf(x)], x, { axis: { int: -1 } });
  },
};
