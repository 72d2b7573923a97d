import { describe, expect, test } from "vitest";
import { dense, norm, plus, product, times, transposed } from "../testing/dense.js";
import type { Dense } from "../testing/dense.js";
import { meanProduct, numbers, productRound, randomClients } from "../testing/product-round.js";
import type { FactorClient, ProductRun } from "../testing/product-round.js";

const f1: ProductRun = { method: "lora-fair", dOut: 2, rank: 1, dIn: 2 };
const f1Clients = [
  { weight: 1, a: [2, 0], b: [1, 0] },
  { weight: 3, a: [0, 4], b: [0, 1] },
];
const ridge = (lambda: number): ProductRun["options"] => ({ solver: { kind: "ridge", lambda } });
const cosineOf = (x: Dense, y: Dense): number =>
  x.values.reduce((sum, value, i) => sum + value * y.values[i]!, 0) / (norm(x) * norm(y));

describe("golden values of fixture F1", () => {
  const changeOf = (options: ProductRun["options"]): { change: number[]; cosine: number } => {
    const { a, b, weight } = productRound({ ...f1, options }, f1Clients);
    expect([...a]).toEqual([0.5, 3]);
    return { change: [b[0]! - 0.25, b[1]! - 0.75], cosine: cosineOf(weight, meanProduct(f1, f1Clients)) };
  };

  test.each([
    [0, [-0.222972973, 0.222972973]],
    [0.01, [-0.2227321814, 0.2227321814]],
  ])("G9: ridge with lambda %d", (lambda, expected) => {
    const { change, cosine } = changeOf(ridge(lambda));
    expected.forEach((value, i) => expect(change[i]).toBeCloseTo(value, 7));
    if (lambda === 0) expect(cosine).toBeCloseTo(0.9733482759658977, 7);
  });

  test("G10: the cosine objective after 1000 plain steps: the angle of the ridge solution, another length", () => {
    const { change, cosine } = changeOf({ solver: { kind: "cosine" } });
    [-0.22532632, 0.03492333].forEach((value, i) => expect(change[i]).toBeCloseTo(value, 7));
    expect(cosine).toBeCloseTo(0.97334177973, 7);
  });

  test("G10: the first step follows the gradient", () => {
    const { change } = changeOf({ solver: { kind: "cosine", steps: 1, learningRate: 0.01 } });
    [-0.33844918, 0.11281639].forEach((slope, i) => expect(change[i]! / 0.01).toBeCloseTo(slope, 4));
  });
});

describe("G26: identities", () => {
  const run: ProductRun = {
    method: "lora-fair",
    ...{ dOut: 9, rank: 3, dIn: 7, scaling: 2 },
    global: { a: numbers(21, 71), b: numbers(27, 72) },
  };
  const clients = randomClients(run, 5, () => 3);
  const ideal = (): Dense => times(0.5, meanProduct(run, clients));
  const factors = ({ a, b }: { a: Float32Array; b: Float32Array }): { a: Dense; b: Dense } => ({
    a: dense(3, 7, (q, j) => a[q * 7 + j]!),
    b: dense(9, 3, (i, q) => b[i * 3 + q]!),
  });

  test("an unbounded lambda gives the means", () => {
    const held = factors(productRound({ ...run, options: ridge(1e6) }, clients));
    const means = factors(productRound({ ...run, method: "fedavg" }, clients));
    expect(norm(plus(held.b, times(-1, means.b)))).toBeLessThan(1e-4);
    expect(held.a).toEqual(means.a);
  });

  test("without regularisation what is left is orthogonal to the rows of A", () => {
    const { a, b } = factors(productRound({ ...run, options: ridge(0) }, clients));
    const left = plus(ideal(), times(-1, product(b, a)));
    expect(norm(product(left, transposed(a)))).toBeLessThan(1e-5 * norm(ideal()));
    expect(norm(left)).toBeGreaterThan(0.01 * norm(ideal()));
  });

  test.each([
    ["ridge", ridge(0.01)],
    ["cosine", { solver: { kind: "cosine", steps: 200 } }],
    ["cosine with a step that is far too long", { solver: { kind: "cosine", steps: 50, learningRate: 10 } }],
  ])("%s comes nearer to the mean of the products than the means", (_, options) => {
    const before = productRound({ ...run, method: "fedavg" }, clients);
    const after = productRound({ ...run, options }, clients);
    expect(cosineOf(after.weight, ideal())).toBeGreaterThan(cosineOf(before.weight, ideal()));
  });

  test("the metrics tell the size of the correction and the bias that is left", () => {
    const { a, b, metrics } = productRound(run, clients);
    const own = factors({ a, b });
    const means = factors(productRound({ ...run, method: "fedavg" }, clients));
    expect(metrics["correction"]).toBeCloseTo(norm(plus(own.b, times(-1, means.b))) / norm(means.b), 5);
    expect(metrics["bias"]).toBeCloseTo(norm(plus(ideal(), times(-1, product(own.b, own.a)))) / norm(ideal()), 6);
  });

  test.each([["ridge"], ["cosine"]])("%s: uploads with B = 0 stay finite, and B stays", (kind) => {
    const zero = clients.map((client): FactorClient => ({ ...client, b: new Float32Array(27) }));
    const { b, metrics } = productRound(
      { ...run, global: { a: run.global!.a, b: new Float32Array(27) }, options: { solver: { kind } } },
      zero,
    );
    expect([...b]).toEqual(Array.from({ length: 27 }, () => 0));
    expect(metrics).toMatchObject({ correction: 0, bias: 0 });
  });

  test("dependent rows of A without regularisation stay finite", () => {
    const row = numbers(7, 3);
    const equal = [1, 2].map((k): FactorClient => ({ weight: k, a: [...row, ...row, ...row], b: numbers(27, 80 + k) }));
    const still = { ...run, global: { a: new Float32Array(21), b: new Float32Array(27) } };
    const { weight } = productRound({ ...still, options: ridge(0) }, equal);
    const expected = meanProduct(still, equal);
    expect(norm(plus(weight, times(-1, expected)))).toBeLessThan(1e-5 * norm(expected));
  });
});
