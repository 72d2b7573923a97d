import type * as tf from "@tensorflow/tfjs";
import { FedLoraError } from "@fedlora/core";
import {
  gemmKernel,
  geluKernel,
  layerNormKernel,
  logSoftmaxKernel,
  pickKernel,
} from "../../../models/ops/kernel-names.js";
import type { TraceBackend } from "../trace-backend.js";
import { numberOf, sameShape } from "./kernel.js";
import type { TraceKernels } from "./kernel.js";

function productShape(a: readonly number[], b: readonly number[], transposeA: boolean, transposeB: boolean): number[] {
  const [m, k] = transposeA ? [a.at(-1), a.at(-2)] : [a.at(-2), a.at(-1)];
  const [k2, n] = transposeB ? [b.at(-1), b.at(-2)] : [b.at(-2), b.at(-1)];
  const lead = a.slice(0, -2);
  if (m === undefined || n === undefined || k !== k2 || !sameShape(lead, b.slice(0, -2))) {
    throw new FedLoraError("internal", `matrix product of shapes [${a.join(", ")}] and [${b.join(", ")}]`);
  }
  return [...lead, m, n];
}

function transposed(backend: TraceBackend, x: tf.TensorInfo): string {
  const axes = [...x.shape.keys()];
  const perm = [...axes.slice(0, -2), axes.length - 1, axes.length - 2];
  const shape = perm.map((axis) => x.shape[axis] ?? 0);
  const output = backend.emit("Transpose", [backend.nameOf(x)], { shape, dtype: x.dtype }, { perm: { ints: perm } });
  return backend.nameOf(output);
}

export const matrixKernels: TraceKernels = {
  BatchMatMul: ({ backend, input, attributes }) => {
    const [a, b] = [input("a"), input("b")];
    const [transposeA, transposeB] = [attributes["transposeA"] === true, attributes["transposeB"] === true];
    const output = { shape: productShape(a.shape, b.shape, transposeA, transposeB), dtype: a.dtype };
    if (a.shape.length === 2) {
      const flags = { transA: { int: transposeA ? 1 : 0 }, transB: { int: transposeB ? 1 : 0 } };
      return backend.emit("Gemm", [backend.nameOf(a), backend.nameOf(b)], output, flags);
    }
    // ONNX Runtime fuses a transpose into the product that reads it.
    const left = transposeA ? transposed(backend, a) : backend.nameOf(a);
    const right = transposeB ? transposed(backend, b) : backend.nameOf(b);
    return backend.emit("MatMul", [left, right], output);
  },
  [gemmKernel]: ({ backend, input, attributes }) => {
    const [a, b, c] = [input("a"), input("b"), input("c")];
    const [transposeA, transposeB] = [attributes["transposeA"] === true, attributes["transposeB"] === true];
    const shape = productShape(a.shape, b.shape, transposeA, transposeB);
    return backend.emit(
      "Gemm",
      [backend.nameOf(a), backend.nameOf(b), backend.nameOf(c)],
      { shape, dtype: a.dtype },
      { transA: { int: transposeA ? 1 : 0 }, transB: { int: transposeB ? 1 : 0 } },
    );
  },
  [layerNormKernel]: ({ backend, input, attributes }) => {
    const [x, gamma, beta] = [input("x"), input("gamma"), input("beta")];
    const statistics = { shape: [...x.shape.slice(0, -1), 1], dtype: "float32" } as const;
    const names = backend.graph.addNode(
      "LayerNormalization",
      [backend.nameOf(x), backend.nameOf(gamma), backend.nameOf(beta)],
      [{ shape: x.shape, dtype: "float32" }, statistics, statistics],
      { axis: { int: -1 }, epsilon: { float: numberOf(attributes["epsilon"], "epsilon") } },
    );
    return names.map((name, index) => backend.info(name, index === 0 ? x.shape : statistics.shape, "float32"));
  },
  [geluKernel]: ({ backend, input, attributes }) => {
    const x = input("x");
    const approximate = attributes["approximate"] === "tanh" ? "tanh" : "none";
    return backend.emit("Gelu", [backend.nameOf(x)], x, { approximate: { string: approximate } });
  },
  [logSoftmaxKernel]: ({ backend, input }) => {
    const x = input("x");
    return backend.emit("LogSoftmax", [backend.nameOf(x)], x, { axis: { int: -1 } });
  },
  [pickKernel]: ({ backend, input }) => {
    const [table, labels] = [input("table"), input("labels")];
    const rows = labels.shape[0] ?? 0;
    const shape = [rows, 1];
    const column = backend.emit("Reshape", [backend.nameOf(labels), backend.ints(shape)], { shape, dtype: "int32" });
    const names = [backend.nameOf(table), backend.nameOf(column)];
    const picked = backend.emit("GatherElements", names, { shape, dtype: "float32" }, { axis: { int: 1 } });
    return backend.emit("Reshape", [backend.nameOf(picked), backend.ints([rows])], { shape: [rows], dtype: "float32" });
  },
};
