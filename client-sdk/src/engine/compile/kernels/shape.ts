import * as tf from "@tensorflow/tfjs";
import { elementCount, FedLoraError } from "@fedlora/core";
import { numberOf, numbersOf, sameShape } from "./kernel.js";
import type { KernelCall, TraceKernels } from "./kernel.js";
import type { TraceBackend } from "../trace-backend.js";

function reshaped(backend: TraceBackend, x: tf.TensorInfo, shape: readonly number[]): tf.TensorInfo {
  if (sameShape(x.shape, shape)) return backend.alias(x);
  const constant = backend.constantOf(x);
  if (constant !== undefined) return backend.constant(constant.values, shape, x.dtype);
  return backend.emit("Reshape", [backend.nameOf(x), backend.ints(shape)], { shape, dtype: x.dtype });
}

/** tfjs's helpers ask for a tensor and read its shape and rank alone. */
function described(x: tf.TensorInfo): tf.Tensor {
  return Object.assign(Object.create(tf.Tensor.prototype) as tf.Tensor, { shape: x.shape });
}

function filled(value: number): (call: KernelCall) => tf.TensorInfo {
  return ({ backend, input }) => backend.uniform(value, input("x").shape, input("x").dtype);
}

export const shapeKernels: TraceKernels = {
  Reshape: ({ backend, input, attributes }) => {
    const x = input("x");
    const shape = tf.util.inferFromImplicitShape(numbersOf(attributes["shape"], "shape"), elementCount(x.shape));
    return reshaped(backend, x, shape);
  },
  ExpandDims: ({ backend, input, attributes }) => {
    const x = input("input");
    const dim = numberOf(attributes["dim"], "dim");
    const at = dim < 0 ? x.shape.length + dim + 1 : dim;
    return reshaped(backend, x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
  },
  Transpose: ({ backend, input, attributes }) => {
    const x = input("x");
    const perm = numbersOf(attributes["perm"], "perm");
    const shape = perm.map((axis) => x.shape[axis] ?? 0);
    return backend.emit("Transpose", [backend.nameOf(x)], { shape, dtype: x.dtype }, { perm: { ints: perm } });
  },
  Slice: ({ backend, input, attributes }) => {
    const x = input("x");
    const begin = numbersOf(attributes["begin"], "begin");
    const sizes = numbersOf(attributes["size"], "size");
    const [starts = [], shape = []] = tf.slice_util.parseSliceParams(described(x), begin, sizes);
    if (sameShape(shape, x.shape)) return backend.alias(x);
    const ends = starts.map((start, axis) => start + (shape[axis] ?? 0));
    return backend.emit("Slice", [backend.nameOf(x), backend.ints(starts), backend.ints(ends)], {
      shape,
      dtype: x.dtype,
    });
  },
  Concat: ({ backend, inputs, attributes }) => {
    const [first] = inputs;
    if (first === undefined) throw new FedLoraError("internal", "concat of nothing");
    const axis = tf.util.parseAxisParam(numberOf(attributes["axis"], "axis"), first.shape)[0] ?? 0;
    const shape = first.shape.map((size, i) =>
      i === axis ? inputs.reduce((sum, part) => sum + (part.shape[axis] ?? 0), 0) : size,
    );
    const names = inputs.map((part) => backend.nameOf(part));
    return backend.emit("Concat", names, { shape, dtype: first.dtype }, { axis: { int: axis } });
  },
  SplitV: ({ backend, input, attributes }) => {
    const x = input("x");
    const axis = tf.util.parseAxisParam(numberOf(attributes["axis"], "axis"), x.shape)[0] ?? 0;
    const sizes = tf.backend_util.prepareSplitSize(described(x), attributes["numOrSizeSplits"] as number[], axis);
    let start = 0;
    return sizes.map((size) => {
      const [from, to] = [start, start + size];
      start = to;
      const shape = x.shape.map((length, i) => (i === axis ? size : length));
      const bounds = [backend.ints([from]), backend.ints([to]), backend.ints([axis])];
      return backend.emit("Slice", [backend.nameOf(x), ...bounds], { shape, dtype: x.dtype });
    });
  },
  PadV2: ({ backend, input, attributes }) => {
    const x = input("x");
    const paddings = attributes["paddings"] as [number, number][];
    const shape = x.shape.map((size, axis) => size + (paddings[axis]?.[0] ?? 0) + (paddings[axis]?.[1] ?? 0));
    const pads = [...paddings.map(([before]) => before), ...paddings.map(([, after]) => after)];
    const value = backend.uniform(numberOf(attributes["constantValue"], "constantValue"), [], x.dtype);
    return backend.emit("Pad", [backend.nameOf(x), backend.ints(pads), backend.nameOf(value)], {
      shape,
      dtype: x.dtype,
    });
  },
  GatherV2: ({ backend, input, attributes }) => {
    const [x, indices] = [input("x"), input("indices")];
    if (attributes["axis"] !== 0 || attributes["batchDims"] !== 0) {
      throw new FedLoraError("internal", "the tracer knows gather along the first axis only");
    }
    const shape = [...indices.shape, ...x.shape.slice(1)];
    return backend.emit("Gather", [backend.nameOf(x), backend.nameOf(indices)], { shape, dtype: x.dtype });
  },
  Range: ({ backend, attributes }) => {
    const [start, stop] = [numberOf(attributes["start"], "start"), numberOf(attributes["stop"], "stop")];
    const length = Math.max(0, Math.ceil(stop - start));
    const values = Array.from({ length }, (_, index) => start + index);
    if (attributes["step"] !== 1) throw new FedLoraError("internal", "the tracer knows ranges of step 1 only");
    const array = attributes["dtype"] === "int32" ? Int32Array.from(values) : Float32Array.from(values);
    return backend.constant(array, [length], attributes["dtype"] as tf.DataType);
  },
  Fill: ({ backend, attributes }) =>
    backend.uniform(
      numberOf(attributes["value"], "value"),
      numbersOf(attributes["shape"], "shape"),
      (attributes["dtype"] as tf.DataType | undefined) ?? "float32",
    ),
  ZerosLike: filled(0),
  OnesLike: filled(1),
};
