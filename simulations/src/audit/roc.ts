/** How well a score tells members from others: a higher score is meant to say "member". */
export interface RocSummary {
  /** Area under the curve: the chance that a member scores higher than another, ties counting half; 0.5 is a coin. */
  readonly auc: number;
  /** Share of the members that are found while at most this share of the others is taken for members. */
  readonly truePositiveRate: number;
  readonly falsePositiveRate: number;
}

/**
 * @param falsePositiveRate allowed, 0 to 1; no threshold between two scores is made up, so few scores give coarse rates
 */
export function summariseRoc(
  members: readonly number[],
  others: readonly number[],
  falsePositiveRate: number,
): RocSummary {
  const allowed = Math.floor(falsePositiveRate * others.length);
  // The largest threshold that still lets only `allowed` others pass: above it, strictly, everybody is called a member.
  const threshold = [...others].sort((a, b) => b - a)[allowed] ?? Number.NEGATIVE_INFINITY;
  const share = (scores: readonly number[]): number =>
    scores.length === 0 ? 0 : scores.filter((score) => score > threshold).length / scores.length;
  return { auc: areaUnderCurve(members, others), truePositiveRate: share(members), falsePositiveRate: share(others) };
}

/** Mann and Whitney's statistic over the number of pairs. */
function areaUnderCurve(members: readonly number[], others: readonly number[]): number {
  let wins = 0;
  for (const member of members) {
    for (const other of others) wins += member > other ? 1 : member === other ? 0.5 : 0;
  }
  return wins / Math.max(1, members.length * others.length);
}
