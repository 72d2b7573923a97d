import type * as tf from "@tensorflow/tfjs";
import { broadcastShape, sameShape } from "./kernel.js";
import type { KernelCall, TraceKernel, TraceKernels } from "./kernel.js";

function unary(op: string): TraceKernel {
  return ({ backend, input }) => {
    const x = input("x");
    return backend.emit(op, [backend.nameOf(x)], x);
  };
}

/** `neutral`: the constant that leaves the other operand as it is; `commutes`: on either side. */
function binary(
  op: string,
  options: { readonly neutral?: number; readonly commutes?: boolean; readonly dtype?: tf.DataType } = {},
): TraceKernel {
  return (call) => {
    const [a, b] = [call.input("a"), call.input("b")];
    const shape = broadcastShape(a.shape, b.shape);
    const kept =
      unchanged(call, a, b, shape, options.neutral) ??
      (options.commutes === true ? unchanged(call, b, a, shape, options.neutral) : undefined);
    if (kept !== undefined) return kept;
    const { backend } = call;
    const names = [
      sameShape(b.shape, shape) ? backend.broadcastName(a) : backend.nameOf(a),
      sameShape(a.shape, shape) ? backend.broadcastName(b) : backend.nameOf(b),
    ];
    return backend.emit(op, names, { shape, dtype: options.dtype ?? a.dtype });
  };
}

/** `x` itself where the other operand is the neutral constant. */
function unchanged(
  { backend }: KernelCall,
  x: tf.TensorInfo,
  other: tf.TensorInfo,
  shape: readonly number[],
  neutral: number | undefined,
): tf.TensorInfo | undefined {
  const applies = neutral !== undefined && backend.uniformOf(other) === neutral && sameShape(x.shape, shape);
  return applies ? backend.alias(x) : undefined;
}

const onnxType: Readonly<Record<string, number>> = { float32: 1, int32: 6, bool: 9 };

export const elementwiseKernels: TraceKernels = {
  Exp: unary("Exp"),
  Log: unary("Log"),
  Neg: unary("Neg"),
  Sqrt: unary("Sqrt"),
  Erf: unary("Erf"),
  Tanh: unary("Tanh"),
  Sigmoid: unary("Sigmoid"),
  Abs: unary("Abs"),
  Square: ({ backend, input }) => {
    const x = input("x");
    const name = backend.nameOf(x);
    return backend.emit("Mul", [name, name], x);
  },
  Rsqrt: ({ backend, input }) => {
    const x = input("x");
    const root = backend.emit("Sqrt", [backend.nameOf(x)], x);
    return backend.emit("Reciprocal", [backend.nameOf(root)], x);
  },
  Add: binary("Add", { neutral: 0, commutes: true }),
  Sub: binary("Sub", { neutral: 0 }),
  Multiply: binary("Mul", { neutral: 1, commutes: true }),
  RealDiv: binary("Div", { neutral: 1 }),
  Maximum: binary("Max"),
  Minimum: binary("Min"),
  Equal: binary("Equal", { dtype: "bool" }),
  Less: binary("Less", { dtype: "bool" }),
  LessEqual: binary("LessOrEqual", { dtype: "bool" }),
  Greater: binary("Greater", { dtype: "bool" }),
  GreaterEqual: binary("GreaterOrEqual", { dtype: "bool" }),
  Cast: ({ backend, input, attributes }) => {
    const x = input("x");
    const dtype = attributes["dtype"] as tf.DataType;
    if (dtype === x.dtype) return backend.alias(x);
    return backend.emit("Cast", [backend.nameOf(x)], { shape: x.shape, dtype }, { to: { int: onnxType[dtype] ?? 0 } });
  },
  Identity: ({ backend, input }) => backend.alias(input("x")),
};
