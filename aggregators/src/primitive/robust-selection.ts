import type { Aggregation } from "../method.js";
import { refused } from "./collect-mean.js";
import { combinePass } from "./robust-combine.js";
import type { CombinedShares } from "./robust-combine.js";
import { collectGeometry, geometryPass } from "./robust-geometry.js";
import type { Geometry } from "./robust-geometry.js";
import { finishCombined, noUpdates } from "./robust-method.js";
import type { RobustRound } from "./robust-method.js";
import { comparable } from "./robust-rules.js";

/** What is known of a round before its models are combined. */
export interface Candidates {
  readonly geometry: Geometry;
  /** Points that can be compared; the others were left out. */
  readonly points: readonly number[];
  /** How many of these may still be hostile: f less those that were left out. */
  readonly faultyOf: (byzantine: number) => number;
}

/** What follows: more passes, given what a rule makes of the candidates, or a refusal in words. */
export type Decide = (candidates: Candidates) => Aggregation | { readonly refusal: string };

/** First pass: where the updates lie. Then what the rule makes of it. */
export function measuredAggregation(round: RobustRound, decide: Decide): Aggregation {
  const { run, input, groups, reading } = round;
  return {
    passes: [geometryPass("geometry", groups, input.global, run, reading)],
    finish(sealed) {
      const geometry = collectGeometry(sealed.get("geometry")?.values() ?? []);
      if (geometry === undefined) return refused(noUpdates(input));
      const points = comparable(geometry);
      const leftOut = geometry.ids.length - points.length;
      const next = decide({ geometry, points, faultyOf: (byzantine) => Math.max(0, byzantine - leftOut) });
      return "refusal" in next ? refused(`round ${input.round}: ${next.refusal}`) : { kind: "continue", next };
    },
  };
}

/** Second pass of rules whose result is a combination of the updates' models. */
export function combination(
  round: RobustRound,
  { geometry, points }: Candidates,
  shares: CombinedShares,
  metrics: Readonly<Record<string, number>>,
): Aggregation {
  const { input, groups, reading } = round;
  const leftOut = geometry.ids.length - points.length;
  return {
    passes: [combinePass("combined", groups, input.global, shares, reading)],
    finish: (sealed) => finishCombined(sealed, "combined", round, { leftOut, ...metrics }),
  };
}

/** Why n updates of which f may be hostile are too few; undefined: they are enough. */
export function tooFew(points: readonly number[], needed: number): { readonly refusal: string } | undefined {
  if (points.length >= needed) return undefined;
  return { refusal: `${points.length} updates that can be compared, the method needs ${needed}` };
}
