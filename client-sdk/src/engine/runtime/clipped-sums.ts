import { FedLoraError, moduleOfTensor, SecretRandom } from "@fedlora/core";
import type { ExampleClipping, GradientNoise } from "../engine.js";
import { sumOfSquares } from "./slot-kernels.js";

/** AUTO-S: keeps the scale of an example finite whose gradient is zero; the paper's value. */
const automaticStability = 0.01;

interface Group {
  readonly names: readonly string[];
  /** Most that an example's gradient in the group's tensors may measure. */
  readonly bound: number;
}

/**
 * The sum of a logical batch's clipped gradients, over as many physical batches as it takes. Sums are float64, since a
 * float32 sum of many examples rounds by more than the noise's accounting allows one example to change it: only the noised
 * sum is rounded, once.
 *
 * Whatever is added, one example moves the sum by at most `clipNorm` (L2, over all tensors); one whose gradient is not
 * finite counts as zero, since a refusal would tell of it.
 */
export class ClippedSums {
  readonly #sums: ReadonlyMap<string, Float64Array>;

  /** @param sizes elements of each trained tensor */
  constructor(sizes: ReadonlyMap<string, number>) {
    this.#sums = new Map([...sizes].map(([name, size]) => [name, new Float64Array(size)]));
  }

  /** @param examples gradients of all tensors, [batch, ...] each, float32 */
  add(examples: ReadonlyMap<string, Float32Array>, batch: number, clipping: ExampleClipping): void {
    const groups = groupsOf([...this.#sums.keys()], clipping);
    for (let row = 0; row < batch; row++) {
      const scales = groups.map(({ names, bound }) =>
        scaleOf(normOf(names, examples, row, batch), bound, clipping.kind),
      );
      // A gradient with a NaN in one module is no gradient in the others either.
      if (scales.some((scale) => scale === undefined)) continue;
      for (const [index, { names }] of groups.entries()) {
        for (const name of names) this.#addRow(name, examples.get(name), row, scales[index] ?? 0);
      }
    }
  }

  /** (sum + N(0, std^2)) / divisor into `gradients`, which has the same tensors; the sums are zero then. */
  release(gradients: ReadonlyMap<string, Float32Array>, { key, std, divisor }: GradientNoise): void {
    if (!(std > 0 && std < Infinity && divisor > 0)) {
      const message = `noise of deviation ${std} over ${divisor} examples protects nobody`;
      throw new FedLoraError("privacy-invalid", message);
    }
    const random = new SecretRandom(key);
    for (const [name, sum] of this.#sums) {
      const gradient = gradients.get(name);
      if (gradient === undefined) throw new FedLoraError("internal", `no gradient buffer for "${name}"`);
      random.addNormals(sum, std);
      for (let i = 0; i < sum.length; i++) gradient[i] = (sum[i] ?? 0) / divisor;
      sum.fill(0);
    }
    random.erase();
  }

  clear(): void {
    for (const sum of this.#sums.values()) sum.fill(0);
  }

  #addRow(name: string, gradient: Float32Array | undefined, row: number, scale: number): void {
    const sum = this.#sums.get(name);
    if (sum === undefined || gradient === undefined || scale === 0) return;
    const offset = row * sum.length;
    for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (gradient[offset + i] ?? 0) * scale;
  }
}

/** All tensors as one group, or one per module with an equal share of the squared clip norm. */
function groupsOf(names: readonly string[], { kind, clipNorm }: ExampleClipping): readonly Group[] {
  if (kind !== "per-layer") return [{ names, bound: clipNorm }];
  const modules = new Map<string, string[]>();
  for (const name of names) {
    const module = moduleOfTensor(name);
    modules.set(module, [...(modules.get(module) ?? []), name]);
  }
  return [...modules.values()].map((own) => ({ names: own, bound: clipNorm / Math.sqrt(modules.size) }));
}

function normOf(
  names: readonly string[],
  examples: ReadonlyMap<string, Float32Array>,
  row: number,
  batch: number,
): number {
  let squares = 0;
  for (const name of names) {
    const gradient = examples.get(name);
    if (gradient === undefined) throw new FedLoraError("artifact-invalid", `the graph gives no gradient for "${name}"`);
    const size = gradient.length / batch;
    squares += sumOfSquares(gradient, row * size, (row + 1) * size);
  }
  return Math.sqrt(squares);
}

/** Factor that brings a norm down to the bound, or by AUTO-S close to it; undefined where the norm is not finite. */
function scaleOf(norm: number, bound: number, kind: ExampleClipping["kind"]): number | undefined {
  if (!Number.isFinite(norm)) return undefined;
  // A padding row adds nothing.
  if (norm === 0) return 0;
  if (kind === "automatic") return bound / (norm + automaticStability);
  return norm > bound ? bound / norm : 1;
}
