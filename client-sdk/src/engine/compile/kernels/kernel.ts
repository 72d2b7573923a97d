import type * as tf from "@tensorflow/tfjs";
import { FedLoraError } from "@fedlora/core";
import type { TraceBackend } from "../trace-backend.js";

export interface KernelCall {
  readonly backend: TraceBackend;
  readonly attributes: tf.NamedAttrMap;
  /** An input by its tfjs name. */
  readonly input: (name: string) => tf.TensorInfo;
  /** All inputs, in order: for kernels that take a list. */
  readonly inputs: readonly tf.TensorInfo[];
}

/** Appends nodes for one tfjs kernel and describes what it yields. */
export type TraceKernel = (call: KernelCall) => tf.TensorInfo | tf.TensorInfo[];

/** Kernels by tfjs kernel name. */
export type TraceKernels = Readonly<Record<string, TraceKernel>>;

export function broadcastShape(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const [m, n] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    if (m !== n && m !== 1 && n !== 1) {
      throw new FedLoraError("internal", `shapes [${a.join(", ")}] and [${b.join(", ")}] do not broadcast`);
    }
    return m === 1 ? n : m;
  });
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** A numeric attribute. */
export function numberOf(value: unknown, what: string): number {
  if (typeof value === "number") return value;
  throw new FedLoraError("internal", `kernel attribute ${what} is not a number`);
}

/** An attribute that is one number or a list. */
export function numbersOf(value: unknown, what: string): number[] {
  if (typeof value === "number") return [value];
  if (ArrayBuffer.isView(value) || Array.isArray(value)) {
    return Array.from(value as ArrayLike<unknown>, (item) => numberOf(item, what));
  }
  throw new FedLoraError("internal", `kernel attribute ${what} is not a list of numbers`);
}
