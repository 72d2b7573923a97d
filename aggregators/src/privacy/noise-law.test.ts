import { describe, expect, test } from "vitest";
import { orthonormalizeRows, RandomStream, randomKey, type TensorKind } from "@fedlora/core";
import { dense, product, plus, times, transposed } from "../testing/dense.js";
import type { Dense } from "../testing/dense.js";
import { meanProduct, productRound, type FactorClient, type ProductRun } from "../testing/product-round.js";
import { aggregatedNoise, initialNorms, moduleNoise, noiseEnergy, type NoiseTerms } from "./noise-law.js";

/** Mean and its standard error over draws of ||.||_F^2. */
function monteCarlo(draws: number, draw: () => Dense): { mean: number; error: number } {
  let [sum, squares] = [0, 0];
  for (let i = 0; i < draws; i++) {
    const energy = draw().values.reduce((total, value) => total + value * value, 0);
    sum += energy;
    squares += energy * energy;
  }
  const mean = sum / draws;
  return { mean, error: Math.sqrt((squares / draws - mean ** 2) / draws) };
}

/** The law within 4.5 standard errors (a false alarm in 1e5 seeds; this one is fixed), which are small themselves. */
function expectLaw({ mean, error }: { mean: number; error: number }, expected: number, most = 0.005): void {
  expect(error / expected).toBeLessThan(most);
  expect(Math.abs(mean - expected) / error).toBeLessThan(4.5);
}

const noise = (stream: RandomStream, rows: number, columns: number, std: number): Dense =>
  dense(rows, columns, () => std * stream.normal());
const square = (matrix: Dense): number => matrix.values.reduce((sum, value) => sum + value * value, 0);
const minus = (left: Dense, right: Dense): Dense => plus(left, times(-1, right));

const [dOut, dIn, rank, scaling, std] = [12, 9, 3, 2, 0.3];
const shape = { dOut, dIn, rank, scaling };

describe("G37: the noise law of a module, by Monte Carlo", () => {
  const stream = new RandomStream(randomKey(37));
  const a = noise(stream, rank, dIn, 0.5);
  const b = noise(stream, dOut, rank, 0.8);
  const norms = { a: square(a), b: square(b) };
  const cases: readonly (readonly TensorKind[])[] = [["lora-a", "lora-b"], ["lora-a"], ["lora-b"]];

  test.each(cases.map((kinds) => ({ kinds })))("noise on $kinds of a LoRA pair", ({ kinds }) => {
    const of = (kind: TensorKind, matrix: Dense): Dense =>
      kinds.includes(kind) ? plus(matrix, noise(stream, matrix.rows, matrix.columns, std)) : matrix;
    const measured = monteCarlo(8_000, () =>
      times(scaling, minus(product(of("lora-b", b), of("lora-a", a)), product(b, a))),
    );
    expectLaw(measured, noiseEnergy(moduleNoise(shape, "lora", new Set(kinds), norms), std));
  });

  test("the law of the data sheet: t^2 (dOut |A|^2 + dIn |B|^2 + dOut dIn rank t^2), times s^2", () => {
    const terms = moduleNoise(shape, "lora", new Set(["lora-a", "lora-b"]), norms);
    const law = std ** 2 * (dOut * norms.a + dIn * norms.b + dOut * dIn * rank * std ** 2);
    expect(noiseEnergy(terms, std)).toBeCloseTo(scaling ** 2 * law, 10);
  });

  test("noise on R between orthonormal factors is t^2 rank^2", () => {
    const orthonormal = (rows: number, columns: number): Dense => {
      const values = Float64Array.from({ length: rows * columns }, () => stream.normal());
      orthonormalizeRows(values, rows, columns);
      return { rows, columns, values };
    };
    const [left, right] = [transposed(orthonormal(rank, dOut)), orthonormal(rank, dIn)];
    const terms = moduleNoise({ ...shape, scaling: 1 }, "latent", new Set(["lora-r"]), initialNorms(shape, "latent"));
    expect(noiseEnergy(terms, std)).toBeCloseTo(std ** 2 * rank ** 2, 12);
    const measured = monteCarlo(20_000, () => product(product(left, noise(stream, rank, rank, std)), right));
    expectLaw(measured, std ** 2 * rank ** 2);
  });

  test("VeRA: noise on both vectors between random factors", () => {
    const diagonal = (size: number, at: (i: number) => number): Dense =>
      dense(size, size, (row, column) => (row === column ? at(row) : 0));
    const [d, e] = [noise(stream, rank, 1, 0.7), noise(stream, dOut, 1, 0.4)];
    const uniform = (rows: number, columns: number, bound: number): Dense =>
      dense(rows, columns, () => bound * (2 * stream.uniform() - 1));
    const kinds = new Set<TensorKind>(["vera-d", "vera-b"]);
    const measured = monteCarlo(8_000, () => {
      const [left, right] = [uniform(dOut, rank, Math.sqrt(6 / rank)), uniform(rank, dIn, Math.sqrt(6 / dIn))];
      const weight = (inner: Dense, outer: Dense): Dense =>
        product(
          product(
            diagonal(dOut, (i) => outer.values[i]!),
            left,
          ),
          product(
            diagonal(rank, (i) => inner.values[i]!),
            right,
          ),
        );
      const noisy = weight(plus(d, noise(stream, rank, 1, std)), plus(e, noise(stream, dOut, 1, std)));
      return times(scaling, minus(noisy, weight(d, e)));
    });
    expectLaw(measured, noiseEnergy(moduleNoise(shape, "vera", kinds, { a: square(d), b: square(e) }), std), 0.015);
  });

  test("a fresh adapter has the norms that are expected of it", () => {
    const bound = 1 / Math.sqrt(dIn);
    const measured = monteCarlo(5_000, () => dense(rank, dIn, () => bound * (2 * stream.uniform() - 1)));
    expectLaw(measured, initialNorms(shape, "lora").a);
  });
});

describe("G38: noise of K updates through the methods themselves", () => {
  const clients = 5;
  const kinds: Readonly<Record<string, readonly TensorKind[]>> = {
    fedavg: ["lora-a", "lora-b"],
    "fedex-lora": ["lora-a", "lora-b"],
    flora: ["lora-a", "lora-b"],
    "ffa-lora": ["lora-b"],
    "fedsa-lora": ["lora-a"],
  };
  const law = (method: string, norms: { a: number; b: number }): NoiseTerms => {
    const terms = moduleNoise(shape, "lora", new Set(kinds[method]), norms);
    const averages = ["fedex-lora", "flora"].includes(method) ? "products" : "factors";
    return aggregatedNoise(terms, 1 / clients, averages);
  };

  /** Noisy updates that change nothing else, from zeros: what is left is noise times noise. */
  function noisyRound(method: string, global: Pick<FactorClient, "a" | "b"> | undefined, stream: RandomStream): Dense {
    const has = (kind: TensorKind): boolean => kinds[method]!.includes(kind);
    const run: ProductRun = {
      method,
      dOut,
      rank,
      dIn,
      scaling,
      spec: { cohort: { size: clients } },
      ...(global && { global }),
    };
    const updates = Array.from({ length: clients }, () => ({
      weight: 1,
      a: has("lora-a") ? stream.normals(rank * dIn, std) : new Float32Array(rank * dIn),
      b: has("lora-b") ? stream.normals(dOut * rank, std) : new Float32Array(dOut * rank),
    }));
    const start =
      global === undefined
        ? dense(dOut, dIn)
        : meanProduct(run, [{ weight: 1, a: new Float32Array(rank * dIn), b: new Float32Array(dOut * rank) }]);
    return minus(productRound(run, updates).weight, start);
  }

  test("the quadratic noise of a mean of products is K times that of a product of means", () => {
    const stream = new RandomStream(randomKey(38));
    const [products, factors] = ["fedex-lora", "fedavg"].map((method) => {
      return monteCarlo(2_000, () => noisyRound(method, undefined, stream));
    });
    const ratio = products!.mean / factors!.mean;
    const error = ratio * Math.hypot(products!.error / products!.mean, factors!.error / factors!.mean);
    expectLaw({ mean: ratio, error }, clients, 0.03);
  });

  test.each(Object.keys(kinds))("%s follows its law from a trained adapter", (method) => {
    const stream = new RandomStream(randomKey(39));
    const global = { a: stream.normals(rank * dIn, 0.5), b: stream.normals(dOut * rank, 0.8) };
    const norms = {
      a: square(dense(rank, dIn, (i, j) => global.a[i * dIn + j]!)),
      b: square(dense(dOut, rank, (i, j) => global.b[i * rank + j]!)),
    };
    const measured = monteCarlo(1_500, () => noisyRound(method, global, stream));
    expectLaw(measured, noiseEnergy(law(method, norms), std), 0.02);
  });
});
