import fc from "fast-check";
import { expect, test } from "vitest";
import { maxPairRank, paddedRank, splitChain } from "./split-chain.js";

const chains = fc.array(
  fc.oneof(fc.integer({ min: 0, max: 80 }), fc.constant(Number.POSITIVE_INFINITY)).map((rank) => ({ rank })),
  { maxLength: 30 },
);
const total = (deltas: readonly { readonly rank: number }[]): number => deltas.reduce((sum, { rank }) => sum + rank, 0);

test("every delta is in exactly one part, in order, and a part becomes a segment with the delta that fills it", () => {
  fc.assert(
    fc.property(chains, (chain) => {
      const { segments, pair } = splitChain(chain);

      expect([...segments.flat(), ...pair]).toEqual(chain);
      expect(total(pair)).toBeLessThanOrEqual(maxPairRank);
      for (const segment of segments) {
        expect(total(segment)).toBeGreaterThan(maxPairRank);
        expect(total(segment.slice(0, -1))).toBeLessThanOrEqual(maxPairRank);
      }
    }),
  );
});

test("a chain that goes on is cut where it was cut before, so a client that joins late cuts as the others did", () => {
  fc.assert(
    fc.property(chains, chains, (before, after) => {
      const first = splitChain(before);
      const whole = splitChain([...before, ...after]);
      const rest = splitChain([...before.slice(first.segments.flat().length), ...after]);

      expect(whole.segments).toEqual([...first.segments, ...rest.segments]);
      expect(whole.pair).toEqual(rest.pair);
    }),
  );
});

test("ranks are padded to a few", () => {
  expect([0, 1, 4, 5, 8, 9, 16, 17, 32, 33, 64].map(paddedRank)).toEqual([0, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64]);
});
