/** What an attacker guessed about candidates that were each in the data by the toss of a fair coin. */
export interface Guesses {
  /** Candidates, guessed about or not. */
  readonly candidates: number;
  /** How many of them the attacker guessed about; fixed before the scores were seen. */
  readonly made: number;
  readonly correct: number;
}

/**
 * A lower bound of a mechanism's epsilon from a membership attack: no smaller epsilon explains so many right guesses,
 * but for a chance of 1 - `confidence`. For delta 0 it is the logit of the Clopper-Pearson bound of the guesses' accuracy.
 *
 * Source: Steinke, Nasr, Jagielski, "Privacy Auditing with One (1) Training Run", NeurIPS 2023, theorem 5.2, for
 * neighbours that differ by one example that is there or not. Candidates of one training run may influence each other;
 * independent runs may be counted together.
 *
 * @param delta of the guarantee that is audited, 0 to below 1
 * @param confidence above 0, below 1
 */
export function empiricalEpsilon(guesses: Guesses, delta: number, confidence: number): number {
  const mostLikely = 1 - confidence;
  if (chanceOf(guesses, 0, delta) >= mostLikely) return 0;
  let [low, high] = [0, 1];
  while (chanceOf(guesses, high, delta) < mostLikely) {
    [low, high] = [high, 2 * high];
    if (high > 1e6) return Infinity;
  }
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (chanceOf(guesses, middle, delta) < mostLikely) low = middle;
    else high = middle;
  }
  return low;
}

/** Most that an (epsilon, delta)-private mechanism lets the chance of so many right guesses be. */
function chanceOf({ candidates, made, correct }: Guesses, epsilon: number, delta: number): number {
  const accuracy = 1 / (1 + Math.exp(-epsilon));
  const mass = Array.from({ length: made + 1 }, (_, hits) => binomialMass(hits, made, accuracy));
  const atLeast = mass.slice(correct).reduce((sum, value) => sum + value, 0);
  let below = 0;
  let slope = 0;
  for (let i = 1; i <= correct; i++) {
    below += mass[correct - i] ?? 0;
    slope = Math.max(slope, below / i);
  }
  return Math.min(1, atLeast + 2 * candidates * delta * slope);
}

function binomialMass(hits: number, tries: number, chance: number): number {
  // 0 times ln 0 counts as 0.
  const power = (count: number, base: number): number => (count === 0 ? 0 : count * Math.log(base));
  return Math.exp(lnChoose(tries, hits) + power(hits, chance) + power(tries - hits, 1 - chance));
}

function lnChoose(n: number, k: number): number {
  let sum = 0;
  for (let i = 1; i <= Math.min(k, n - k); i++) sum += Math.log((n - Math.min(k, n - k) + i) / i);
  return sum;
}
