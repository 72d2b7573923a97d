import type { RunResult } from "../run/round-row.js";
import type { Claim, ClaimMetric } from "../scenario/claim-schema.js";
import { metricOf, untilOf } from "./run-metrics.js";
import { spreadOf, type Spread } from "./spread.js";

/** What became of a claim; its numbers are in the metric's own unit. */
export interface JudgedClaim extends Claim {
  /** By the means over the seeds; "not measured" where a run of either variant failed or lacks the metric. */
  readonly outcome: "kept" | "not kept" | "not measured";
  /** Of the claim's variant, over the seeds; a mean of Infinity (null in JSON) was never reached. */
  readonly measured: Spread | undefined;
  /** The other variant's, before factor and margin; undefined where the claim names a number. */
  readonly other: Spread | undefined;
  /** What the mean has to reach or stay within. */
  readonly limit: number | undefined;
  /** Of so many seeds it holds in so many, each taken alone. */
  readonly seeds: { readonly holds: number; readonly of: number };
}

/** Checks claims against runs. Those about a variant that was not run are left out. */
export function judgeClaims(claims: readonly Claim[], runs: readonly RunResult[]): JudgedClaim[] {
  const known = new Set(runs.map(({ variant }) => variant));
  return claims
    .filter(({ of, atLeast, atMost }) =>
      [of, atLeast, atMost].every((name) => typeof name !== "string" || known.has(name)),
    )
    .map((claim) => judge(claim, runs));
}

function judge(claim: Claim, runs: readonly RunResult[]): JudgedClaim {
  const bound = claim.atLeast ?? claim.atMost ?? 0;
  const seeds = [...new Set(runs.filter(({ variant }) => variant === claim.of).map(({ seed }) => seed))];
  const valueOf = (variant: string, seed: number): number | undefined => {
    const run = runs.find((each) => each.variant === variant && each.seed === seed);
    return run === undefined || run.state === "failed" ? undefined : metricOf(run, claim.metric, claim.until);
  };
  const limitOf = (other: number): number =>
    typeof bound === "number" ? bound : (claim.factor ?? 1) * other + (claim.margin ?? 0);
  const pairs = seeds.flatMap((seed) => {
    const own = valueOf(claim.of, seed);
    const other = typeof bound === "number" ? bound : valueOf(bound, seed);
    return own === undefined || other === undefined ? [] : [{ own, other }];
  });
  const measured = spreadOf(pairs.map(({ own }) => own));
  const other = spreadOf(pairs.map((pair) => pair.other));
  const limit = other && limitOf(other.mean);
  const holds = pairs.filter((pair) => isWithin(claim, pair.own, limitOf(pair.other))).length;
  const isMeasured = measured !== undefined && limit !== undefined && pairs.length === seeds.length;
  return {
    ...claim,
    outcome: !isMeasured ? "not measured" : isWithin(claim, measured.mean, limit) ? "kept" : "not kept",
    measured,
    other: typeof bound === "number" ? undefined : other,
    limit,
    seeds: { holds, of: seeds.length },
  };
}

/** What neither of two variants ever reached says nothing for either. */
function isWithin({ atLeast }: Claim, value: number, limit: number): boolean {
  if (value === limit && !Number.isFinite(value)) return false;
  return atLeast === undefined ? value <= limit : value >= limit;
}

/** Digits, factor and unit in which a metric is shown. */
const forms: Readonly<Record<ClaimMetric, readonly [name: string, digits: number, factor: number, unit: string]>> = {
  accuracy: ["accuracy", 4, 1, ""],
  loss: ["loss", 4, 1, ""],
  perplexity: ["perplexity", 2, 1, ""],
  f1: ["F1", 4, 1, ""],
  clientAccuracy: ["own accuracy", 4, 1, ""],
  clientLoss: ["own loss", 4, 1, ""],
  clientPerplexity: ["own perplexity", 2, 1, ""],
  meanClientAccuracy: ["mean accuracy of the clients", 4, 1, ""],
  meanClientLoss: ["mean loss of the clients", 4, 1, ""],
  worstClientAccuracy: ["accuracy of the worst clients", 4, 1, ""],
  worstClientLoss: ["loss of the worst clients", 4, 1, ""],
  rounds: ["rounds", 1, 1, ""],
  virtualSeconds: ["virtual seconds", 1, 1, " s"],
  waitingSeconds: ["waiting", 2, 1, " s"],
  bytesUp: ["bytes up", 3, 1e-6, " MB"],
  bytesDown: ["bytes down", 3, 1e-6, " MB"],
  bytes: ["bytes up and down", 3, 1e-6, " MB"],
  bias: ["aggregation bias", 4, 1, ""],
  epsilon: ["epsilon", 3, 1, ""],
};

/** `accuracy of FedEx-LoRA 0.9312 ± 0.0041, at least FedAvg 0.9273 ± 0.0031; in 3 of 3 seeds` */
export function claimFigures(claim: JudgedClaim): string {
  const [name, digits, scale, unit] = forms[claim.metric];
  const number = (value: number): string => (Number.isFinite(value) ? (value * scale).toFixed(digits) + unit : "never");
  const spread = (value: Spread | undefined): string => {
    if (value === undefined) return "not measured";
    const { mean, std } = value;
    const hasStd = std !== undefined && Number((std * scale).toFixed(digits)) !== 0;
    return hasStd ? `${(mean * scale).toFixed(digits)} ± ${number(std)}` : number(mean);
  };
  const bound = claim.atLeast ?? claim.atMost ?? 0;
  const relation = claim.atLeast === undefined ? "at most" : "at least";
  const factor = claim.factor === undefined || claim.factor === 1 ? "" : `${claim.factor} times `;
  const { margin = 0 } = claim;
  const added = margin === 0 ? "" : margin > 0 ? ` plus ${number(margin)}` : ` less ${number(-margin)}`;
  const isPlain = factor === "" && added === "";
  const against =
    typeof bound === "number"
      ? `${relation} ${number(bound)}`
      : `${relation} ${factor}${bound} ${spread(claim.other)}${added}` +
        (isPlain || claim.limit === undefined ? "" : ` = ${number(claim.limit)}`);
  const until = claim.until && untilOf(claim.until);
  const when = until === undefined ? "" : ` until ${forms[until.quality][0]} ${until.target}`;
  const seeds = claim.seeds.of === 1 ? "one seed" : `holds in ${claim.seeds.holds} of ${claim.seeds.of} seeds`;
  return `${name}${when} of ${claim.of} ${spread(claim.measured)}, ${against}; ${seeds}`;
}

/** The claims for a terminal, two lines each; undefined where there are none. */
export function claimsText(claims: readonly JudgedClaim[]): string | undefined {
  if (claims.length === 0) return undefined;
  const width = Math.max(...claims.map(({ outcome }) => outcome.length));
  const lines = claims.flatMap((claim) => [
    `  ${claim.outcome.padEnd(width)}  ${claim.says}`,
    `  ${" ".repeat(width)}    ${claimFigures(claim)}`,
  ]);
  const kept = claims.filter(({ outcome }) => outcome === "kept").length;
  return [`Claims: ${kept} of ${claims.length} kept`, ...lines].join("\n");
}
