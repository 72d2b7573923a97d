import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { denseState, keyOf, norm, plus, product, times, weightedMean } from "../testing/dense.js";
import type { Dense } from "../testing/dense.js";
import { mixedRanks } from "../testing/method-case.js";
import type { MethodCase, OracleRound, OracleUpdate } from "../testing/method-case.js";
import { ownFactors } from "../testing/product-oracles.js";
import { RoundFixture } from "../testing/round-fixture.js";
import { flasc } from "./flasc.js";
import { hetlora } from "./hetlora.js";
import { loraLego } from "./lora-lego.js";
import { qFfl } from "./q-ffl.js";

interface Shares {
  /** Unnormalised. */
  readonly of: ReadonlyMap<OracleUpdate, number>;
  /** Of the received adapter. */
  readonly start: number;
}
type BiasCase = Omit<MethodCase, "oracle"> & { readonly shares: (round: OracleRound) => Shares };

const byWeight = ({ updates }: OracleRound): Shares => ({
  of: new Map(updates.map((update) => [update, update.weight])),
  start: 0,
});

/** By the norms of s B A over all modules. */
const byNorm = (round: OracleRound): Shares => {
  const normOf = (update: OracleUpdate): number =>
    Math.hypot(
      ...round.modules.map((module) => {
        const own = ownFactors(round, update, module);
        return own === undefined ? 0 : round.scaling(module) * norm(product(own.b, own.a));
      }),
    );
  return { of: new Map(round.updates.map((update) => [update, update.weight * normOf(update)])), start: 0 };
};

/** F^q for the clients' models, and what is left of sum h / L for the received one. */
const byLoss =
  (q: number, lipschitz: number) =>
  ({ updates }: OracleRound): Shares => {
    const own = updates.map((update) => {
      const { receivedLoss, tensors, weight } = update;
      const squared = [...tensors.values()].reduce((sum, matrix) => sum + norm(matrix) ** 2, 0);
      return {
        update,
        power: weight * receivedLoss! ** q,
        damping: weight * q * receivedLoss! ** (q - 1) * lipschitz * squared,
      };
    });
    return {
      of: new Map(own.map(({ update, power }) => [update, power])),
      start: own.reduce((sum, { damping }) => sum + damping, 0),
    };
  };

const cases: readonly BiasCase[] = [
  { definition: flasc, options: {}, shares: byWeight },
  { definition: hetlora, options: { maxNormRatio: 1e6 }, shares: byNorm },
  { definition: hetlora, label: "mixed ranks", options: { maxNormRatio: 1e6 }, ranks: mixedRanks, shares: byNorm },
  { definition: qFfl, options: { q: 0.7, lipschitz: 10 }, shares: byLoss(0.7, 10) },
  { definition: loraLego, options: {}, shares: byWeight },
  { definition: loraLego, label: "mixed ranks", options: {}, ranks: mixedRanks, shares: byWeight },
];

/** With every product written out, over those that hold a module. */
function denseBias(round: OracleRound, { of, start }: Shares, sent: ReadonlyMap<string, Dense>): number {
  const squares = round.modules.flatMap((module) => {
    const [a, b] = ["lora_A.weight", "lora_B.weight"].map((kind) => keyOf(module, kind));
    const terms = round.updates.flatMap((update) => {
      const own = ownFactors(round, update, module);
      return own === undefined ? [] : [{ weight: of.get(update)!, matrix: product(own.b, own.a) }];
    });
    if (terms.length === 0) return [];
    const received = { weight: start, matrix: product(round.global.get(b!)!, round.global.get(a!)!) };
    const ideal = weightedMean([...terms, received]);
    const difference = plus(ideal, times(-1, product(sent.get(b!)!, sent.get(a!)!)));
    return [[norm(difference) ** 2, norm(ideal) ** 2] as const];
  });
  const sum = (index: 0 | 1): number => squares.reduce((total, pair) => total + pair[index], 0);
  return Math.sqrt(sum(0) / sum(1));
}

describe.each(cases)("$definition.name $label", ({ shares, ...row }) => {
  const oracle = (): never => {
    throw new Error("this test brings its own");
  };
  const fixture = new RoundFixture({ ...row, oracle });

  test.each([
    ["from Gram matrices", 32],
    ["from sketches wider than the sides", 1],
  ])("the bias %s is that of dense products", (_, biasClients) => {
    const method = fixture.compile({
      method: { name: row.definition.name, options: { ...row.options, biasClients } },
    });
    fc.assert(
      fc.property(fixture.globals(), fixture.clients(2), (global, list) => {
        const { metrics, global: sent } = fixture.run(global, list, {}, method);
        const round = fixture.oracleRound(global, list);
        const expected = denseBias(round, shares(round), denseState(sent));
        expect(Math.abs(metrics["bias"]! - expected)).toBeLessThan(1e-5 * Math.max(1, expected));
      }),
      { numRuns: 15 },
    );
  });
});
