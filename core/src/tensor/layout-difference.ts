import { shapesEqual } from "./state-dict.js";
import type { TensorLayout, TensorSpec } from "./tensor.js";

/** How a list of tensors differs from what was expected, with the first tensor that does. */
export interface LayoutDifference {
  readonly kind: "missing" | "unexpected" | "dtype" | "shape";
  readonly tensor: string;
  /** A sentence: what, got, allowed. */
  readonly message: string;
}

/** The first difference in the order missing, dtype, shape (by the expected order), unexpected; undefined: none. */
export function firstLayoutDifference(
  expected: TensorLayout,
  actual: ReadonlyMap<string, Pick<TensorSpec, "dtype" | "shape">>,
): LayoutDifference | undefined {
  const show = (shape: readonly number[]): string => `[${shape.join(", ")}]`;
  for (const { name, dtype, shape } of expected) {
    const found = actual.get(name);
    const difference = (kind: LayoutDifference["kind"], message: string): LayoutDifference => ({
      kind,
      tensor: name,
      message: `tensor "${name}" ${message}`,
    });
    if (found === undefined) return difference("missing", "is missing");
    if (found.dtype !== dtype) return difference("dtype", `has dtype ${found.dtype}, expected ${dtype}`);
    if (!shapesEqual(found.shape, shape)) {
      return difference("shape", `has shape ${show(found.shape)}, expected ${show(shape)}`);
    }
  }
  const known = new Set(expected.map(({ name }) => name));
  for (const name of actual.keys()) {
    if (!known.has(name)) return { kind: "unexpected", tensor: name, message: `tensor "${name}" is not expected` };
  }
  return undefined;
}
