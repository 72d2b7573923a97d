import fc from "fast-check";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { rankDistribution, type RankProgression } from "./rank-distribution.js";

const golden = JSON.parse(readFileSync(new URL("../../../testdata/legend/golden.json", import.meta.url), "utf8")) as {
  distributions: (RankProgression & { layers: number; ranks: number[] })[];
};

test.each(golden.distributions)("$layers layers, $minRank to $maxRank by $step, total $total", (row) => {
  const { layers, ranks, ...progression } = row;
  expect(rankDistribution(layers, progression)).toEqual(ranks);
});

const progression = fc
  .record({
    layers: fc.integer({ min: 1, max: 40 }),
    minRank: fc.integer({ min: 1, max: 40 }),
    more: fc.integer({ min: 0, max: 40 }),
    step: fc.integer({ min: 0, max: 20 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ layers, minRank, more, step, share }) => {
    const maxRank = minRank + more;
    const total = layers * minRank + Math.round(share * layers * more);
    return { layers, minRank, maxRank, step, total };
  });

test("ranks stay in their range, never fall towards the output, and add up to the total", () => {
  fc.assert(
    fc.property(progression, ({ layers, ...given }) => {
      const ranks = rankDistribution(layers, given);
      expect(ranks).toHaveLength(layers);
      expect(ranks.reduce((a, b) => a + b, 0)).toBe(given.total);
      ranks.forEach((rank, layer) => {
        expect(Number.isInteger(rank) && rank >= given.minRank && rank <= given.maxRank).toBe(true);
        expect(rank).toBeGreaterThanOrEqual(ranks[layer - 1] ?? 0);
      });
    }),
  );
});
