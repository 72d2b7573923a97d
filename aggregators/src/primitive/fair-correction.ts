import { columnMatrix, dotAt, multiply } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import { HouseholderQr } from "../linalg/householder-qr.js";

/** How LoRA-FAIR's cosine objective is descended. */
export interface CosineDescent {
  readonly lambda: number;
  readonly steps: number;
  readonly learningRate: number;
}

/** What the objective depends on; no matrix is dOut x dIn. */
export interface CosineProblem {
  /** B' [dOut, r], the mean. */
  readonly mean: ColumnMatrix;
  /** G = D A'^T [dOut, r], D being the mean of the products. */
  readonly target: ColumnMatrix;
  /** S = A' A'^T [r, r]. */
  readonly gramA: ColumnMatrix;
  /** || D ||_F */
  readonly norm: number;
}

/**
 * The B that gradient descent on J(B) = 1 - cos(D, B A') + lambda ||B - B'||_F^2 reaches from B = B'; undefined where the
 * cosine is: D or B' A' zero, as in a first round without change.
 *
 * grad J = -(G / nu - c B S / nu^3) / ||D|| + 2 lambda (B - B') with nu = ||B A'||, c = <G, B>. The gradient grows
 * without bound as B goes to zero, so a step that would raise J is not taken, and the step size halved instead: J never
 * ends above where it began. Every iterate lies in the span of the columns of G and B', so steps are taken in an
 * orthonormal basis of it and cost r^3 each, whatever dOut.
 */
export function descendCosine(
  { mean, target, gramA, norm }: CosineProblem,
  { lambda, steps, learningRate }: CosineDescent,
): ColumnMatrix | undefined {
  const r = mean.columns;
  const basis = columnMatrix(mean.rows, 2 * r);
  basis.values.set(target.values);
  basis.values.set(mean.values, target.values.length);
  const qr = new HouseholderQr(basis);
  const coordinates = qr.r();
  const half = coordinates.rows * r;
  const small: CosineProblem = {
    target: columnMatrix(coordinates.rows, r, coordinates.values.slice(0, half)),
    mean: columnMatrix(coordinates.rows, r, coordinates.values.slice(half)),
    gramA,
    norm,
  };
  let current = evaluate(small, small.mean, lambda);
  let rate = learningRate;
  for (let step = 0; step < steps && current !== undefined; step++) {
    const { b, gradient, value } = current;
    const values = b.values.map((x, i) => x - rate * (gradient[i] ?? 0));
    const next = evaluate(small, columnMatrix(b.rows, r, values), lambda);
    if (next === undefined || next.value > value) rate /= 2;
    else current = next;
  }
  return current && qr.applyQ(current.b);
}

interface ObjectivePoint {
  readonly b: ColumnMatrix;
  readonly value: number;
  readonly gradient: Float64Array;
}

/** J and its gradient at B; undefined where the cosine is. */
function evaluate(
  { mean, target, gramA, norm }: CosineProblem,
  b: ColumnMatrix,
  lambda: number,
): ObjectivePoint | undefined {
  const scaled = multiply(b, gramA).values;
  const length = Math.sqrt(Math.max(0, inner(b.values, scaled)));
  if (norm === 0 || length === 0) return undefined;
  const aligned = inner(target.values, b.values);
  const change = b.values.map((x, i) => x - (mean.values[i] ?? 0));
  const gradient = change.map((x, i) => {
    const slope = ((target.values[i] ?? 0) / length - (aligned * (scaled[i] ?? 0)) / length ** 3) / norm;
    return 2 * lambda * x - slope;
  });
  return { b, value: 1 - aligned / (length * norm) + lambda * inner(change, change), gradient };
}

const inner = (x: Float64Array, y: Float64Array): number => dotAt(x, 0, y, 0, x.length);
