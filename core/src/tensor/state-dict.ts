import type { StateDict, Tensor, TensorLayout, TensorSpec } from "./tensor.js";

/** Order of names: code unit by code unit, never by locale. */
export function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A state dict whose iteration order is the canonical one. */
export function toStateDict(entries: Iterable<readonly [string, Tensor]>): StateDict {
  return new Map([...entries].sort(([a], [b]) => compareNames(a, b)));
}

/** Specs sorted by name. */
export function canonicalLayout(specs: Iterable<TensorSpec>): TensorLayout {
  return [...specs].sort((a, b) => compareNames(a.name, b.name));
}

/** Names, dtypes and shapes of a state dict in canonical order. */
export function layoutOf(state: ReadonlyMap<string, Pick<Tensor, "dtype" | "shape">>): TensorLayout {
  return canonicalLayout([...state].map(([name, { dtype, shape }]) => ({ name, dtype, shape })));
}

export function shapesEqual(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** Whether two layouts name the same tensors with the same dtypes and shapes, in whatever order. */
export function layoutsEqual(a: TensorLayout, b: TensorLayout): boolean {
  if (a.length !== b.length) return false;
  const others = new Map(b.map((spec) => [spec.name, spec]));
  return a.every(({ name, dtype, shape }) => {
    const other = others.get(name);
    others.delete(name);
    return other?.dtype === dtype && shapesEqual(shape, other.shape);
  });
}
