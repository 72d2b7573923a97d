import { moduleOfTensor } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import { columnMatrix, crossGram, dotAt, squaredNorm } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import type { AggregationPass, MethodRun } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { scalingOf } from "./method-parts.js";
import { factorSizes, factorValues, sideBySide, termA, termB } from "./product-terms.js";
import type { FactorDeltas, FactorSpecs, FactorValues } from "./product-terms.js";
import { deltaOf, samplesPass } from "./robust-samples.js";
import type { Sample, SamplesOptions } from "./robust-samples.js";

/**
 * Where the updates of a round lie, by inner products alone. Point 0 is the global adapter, point k > 0 the adapter of the
 * k-th update in the order of ids. `products` has the effective changes scaling * B A of all modules as one vector, `heads`
 * the changes of the heads.
 */
export interface Geometry {
  readonly ids: readonly string[];
  readonly weights: readonly number[];
  readonly products: GramMatrix;
  readonly heads: GramMatrix;
  /**
   * Sum over the modules of (scaling ||B|| ||A||)^2, per point: rounding errors of the inner products are of the order of
   * 2^-52 of it. Where it is far above the squared norm of the product, the factors cancel each other.
   */
  readonly factorNorms: Float64Array;
}

/** Symmetric, size x size, row-major, float64. */
export interface GramMatrix {
  readonly size: number;
  readonly values: Float64Array;
}

/**
 * Measures the geometry of a round module by module: <B_i A_i, B_j A_j> = <B_i^T B_j, A_i A_j^T>, so nothing larger than
 * rank x rank is formed. A client that scales A by c and B by 1 / c, or turns them by any other invertible matrix, stays
 * where it is: only products count. Work: n^2 rank^2 (dIn + dOut) / 2 multiply-adds per module.
 */
export function geometryPass(
  name: string,
  groups: readonly AdapterGroup[],
  global: StateDict,
  run: MethodRun,
  reading: Pick<SamplesOptions<AdapterGroup, unknown>, "tensorsOf" | "expected">,
): AggregationPass<unknown, Geometry> {
  return samplesPass<AdapterGroup, Geometry>(name, groups, {
    ...reading,
    seal: (samples, group) => {
      const facts = { ids: samples.map(({ id }) => id), weights: samples.map(({ weight }) => weight) };
      const size = samples.length + 1;
      if (group.factors === undefined) {
        const factorNorms = new Float64Array(size);
        return { ...facts, products: zeroGram(size), heads: headGram(samples, group), factorNorms };
      }
      const { factors } = group;
      const scaling = scalingOf(run, moduleOfTensor(factors.a.name)) ** 2;
      const points = factorPoints(samples, factors, factorValues(global, factors));
      return { ...facts, ...productGram(points, scaling), heads: zeroGram(size) };
    },
  });
}

/** The geometry over all modules; undefined where no update has a weight above 0. */
export function collectGeometry(parts: Iterable<unknown>): Geometry | undefined {
  const [first, ...others] = [...parts] as Geometry[];
  if (first === undefined || first.ids.length === 0) return undefined;
  for (const part of others) {
    addTo(first.products.values, part.products.values);
    addTo(first.heads.values, part.heads.values);
    addTo(first.factorNorms, part.factorNorms);
  }
  return first;
}

/** Squared distance of two points; never below 0, and 0 for a point to itself. */
export function squaredDistance({ size, values }: GramMatrix, i: number, j: number): number {
  const at = (row: number, column: number): number => values[row * size + column] ?? 0;
  return Math.max(0, at(i, i) + at(j, j) - 2 * at(i, j));
}

/** A client's factors of a module; those that do not travel are the global ones. */
export function factorDeltas(sample: Sample, { a, b }: FactorSpecs): FactorDeltas {
  const rank = a.shape[0] ?? 0;
  const held = ({ name, shape }: FactorSpecs["a"]): Float32Array =>
    sample.deltas.has(name) ? deltaOf(sample, name) : new Float32Array(shape.reduce((x, y) => x * y, 1));
  return { rank, a: held(a), b: held(b) };
}

export interface FactorPoint {
  /** [dIn, rank], by columns. */
  readonly a: ColumnMatrix;
  /** [dOut, rank], by columns. */
  readonly b: ColumnMatrix;
}

/** Factors of the global adapter, then those of the samples, in float64. */
export function factorPoints(samples: readonly Sample[], factors: FactorSpecs, from: FactorValues): FactorPoint[] {
  const { rank } = factorSizes(factors);
  const none: FactorDeltas = { rank, a: new Float32Array(from.a.length), b: new Float32Array(from.b.length) };
  return [none, ...samples.map((sample) => factorDeltas(sample, factors))].map((deltas) => ({
    a: termA(deltas, factors, from),
    b: termB(deltas, factors, from),
  }));
}

function productGram(points: readonly FactorPoint[], scaling: number): Pick<Geometry, "products" | "factorNorms"> {
  const size = points.length;
  const values = new Float64Array(size * size);
  // Side by side the products of one point with all before it are two products of matrices.
  const a = sideBySide(
    points[0]?.a.rows ?? 0,
    points.map((point) => point.a),
  );
  const b = sideBySide(
    points[0]?.b.rows ?? 0,
    points.map((point) => point.b),
  );
  points.forEach((x, i) => {
    const block = x.a.columns ** 2;
    const right = crossGram(x.a, firstColumns(a, (i + 1) * x.a.columns)).values;
    const left = crossGram(x.b, firstColumns(b, (i + 1) * x.b.columns)).values;
    for (let j = 0; j <= i; j++) {
      const product = scaling * dotAt(left, j * block, right, j * block, block);
      values[i * size + j] = product;
      values[j * size + i] = product;
    }
  });
  const factorNorms = Float64Array.from(points, (point) => scaling * squaredNorm(point.a) * squaredNorm(point.b));
  return { products: { size, values }, factorNorms };
}

function firstColumns({ rows, values }: ColumnMatrix, count: number): ColumnMatrix {
  return columnMatrix(rows, count, values.subarray(0, rows * count));
}

function headGram(samples: readonly Sample[], { tensors }: AdapterGroup): GramMatrix {
  const size = samples.length + 1;
  const values = new Float64Array(size * size);
  for (const { name } of tensors) {
    const deltas = samples.map((sample) => Float64Array.from(deltaOf(sample, name)));
    deltas.forEach((x, i) => {
      for (let j = 0; j <= i; j++) {
        const product = dotAt(x, 0, deltas[j] ?? x, 0, x.length);
        const at = (i + 1) * size + j + 1;
        values[at] = (values[at] ?? 0) + product;
        if (i !== j) values[(j + 1) * size + i + 1] = values[at] ?? 0;
      }
    });
  }
  return { size, values };
}

const zeroGram = (size: number): GramMatrix => ({ size, values: new Float64Array(size * size) });

function addTo(sum: Float64Array, values: Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (values[i] ?? 0);
}
