/** Reduces n values of one coordinate, one per update; it may reorder them. */
export type CoordinateRule = (values: Float64Array) => number;

/**
 * Mean of what is left when the `floor(trim n)` lowest and as many of the highest values are dropped.
 *
 * Paper: Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", 2018.
 *
 * @param trim share, 0 to below 0.5; 0 gives the mean
 */
export function trimmedMean(trim: number): CoordinateRule {
  return (values) => {
    sortAscending(values);
    // 0.29 * 100 is just below 29.
    const dropped = Math.floor(trim * values.length + 1e-9);
    return meanOf(values, dropped, values.length - dropped);
  };
}

/** The middle value; of an even number the mean of the two in the middle. Paper: Yin et al. 2018. */
export const coordinateMedian: CoordinateRule = (values) => {
  sortAscending(values);
  return middleOf(values);
};

/**
 * Mean of the `count` values that are closest to the median; of two at the same distance the lower one.
 *
 * Paper: El Mhamdi, Guerraoui, Rouault, "The Hidden Vulnerability of Distributed Learning in Byzantium" (Bulyan), 2018.
 */
export function meanAroundMedian(count: number): CoordinateRule {
  return (values) => {
    sortAscending(values);
    const middle = middleOf(values);
    // In sorted order the closest ones stand side by side: drop the further end until `count` are left.
    let from = 0;
    let to = values.length;
    while (to - from > count) {
      if ((values[to - 1] ?? 0) - middle >= middle - (values[from] ?? 0)) to -= 1;
      else from += 1;
    }
    return meanOf(values, from, to);
  };
}

function middleOf(sorted: Float64Array): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[half] ?? 0) : ((sorted[half - 1] ?? 0) + (sorted[half] ?? 0)) / 2;
}

function meanOf(values: Float64Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += values[i] ?? 0;
  return sum / (to - from);
}

/** Up to so many values insertion is faster than a general sort. */
const fewValues = 40;

function sortAscending(values: Float64Array): void {
  if (values.length > fewValues) {
    values.sort();
    return;
  }
  for (let i = 1; i < values.length; i++) {
    const value = values[i] ?? 0;
    let at = i;
    for (; at > 0 && (values[at - 1] ?? 0) > value; at--) values[at] = values[at - 1] ?? 0;
    values[at] = value;
  }
}
