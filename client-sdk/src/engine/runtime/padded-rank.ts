import { elementCount, rankAxes, tensorKindOf } from "@fedlora/core";

/**
 * Whether a graph's shape of an adapter tensor is the adapter's own, or has more ranks and nothing else. Ranks that are all
 * zeros in A and B (and R, and VeRA's d) change neither the output nor the gradients of the others.
 */
export function isPaddedRank(name: string, own: readonly number[], graph: readonly number[]): boolean {
  if (own.length !== graph.length) return false;
  const axes = rankAxes[tensorKindOf(name)];
  return own.every((size, axis) => graph[axis] === size || (axes.includes(axis) && (graph[axis] ?? 0) > size));
}

interface BlockCopy {
  readonly from: Float32Array;
  readonly fromShape: readonly number[];
  readonly to: Float32Array;
  readonly toShape: readonly number[];
}

/** Copies what two shapes of one or two axes have in common: the leading rows and columns. The rest of `to` stays. */
export function copyBlock({ from, fromShape, to, toShape }: BlockCopy): void {
  const [fromColumns, toColumns] = [columnsOf(fromShape), columnsOf(toShape)];
  const columns = Math.min(fromColumns, toColumns);
  const rows = Math.min(elementCount(fromShape) / fromColumns, elementCount(toShape) / toColumns);
  for (let row = 0; row < rows; row++) {
    to.set(from.subarray(row * fromColumns, row * fromColumns + columns), row * toColumns);
  }
}

/** Of tensors of `shape`, one after the other, the leading blocks of shape `own`. */
export function leadingBlocks(values: Float32Array, shape: readonly number[], own: readonly number[]): Float32Array {
  const [size, ownSize] = [elementCount(shape), elementCount(own)];
  const out = new Float32Array((values.length / size) * ownSize);
  for (let index = 0; index * size < values.length; index++) {
    copyBlock({
      from: values.subarray(index * size, (index + 1) * size),
      fromShape: shape,
      to: out.subarray(index * ownSize, (index + 1) * ownSize),
      toShape: own,
    });
  }
  return out;
}

function columnsOf(shape: readonly number[]): number {
  return shape.length > 1 ? (shape.at(-1) ?? 1) : elementCount(shape);
}
