import { createAccountant } from "@fedlora/core";
import type { Accountant, PrivacyBound, PrivacyEvent, RunSpec } from "@fedlora/core";

import { eventsOf } from "./privacy-terms.js";
import type { PrivateSpec, ReleaseCounts } from "./privacy-terms.js";

/** Bounds that are remembered: rounds go up one by one, so the latest few do. */
const maxRemembered = 256;

/** What counts of releases come to in epsilon, for one private run. */
export class RunAccount {
  readonly privacy: PrivateSpec;
  readonly #spec: RunSpec;
  readonly #noiseMultiplier: number;
  readonly #accountant: Accountant;
  readonly #known = new Map<string, PrivacyBound>();

  constructor(spec: RunSpec, privacy: PrivateSpec, noiseMultiplier: number) {
    this.privacy = privacy;
    this.#spec = spec;
    this.#noiseMultiplier = noiseMultiplier;
    this.#accountant = createAccountant(privacy.accountant);
  }

  bound(counts: ReleaseCounts): PrivacyBound {
    const key = `${counts.training}:${counts.evaluation}`;
    const known = this.#known.get(key) ?? this.#accountant.epsilon(this.events(counts), this.privacy.delta);
    this.#known.delete(key);
    this.#known.set(key, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > maxRemembered && oldest !== undefined) this.#known.delete(oldest);
    return known;
  }

  events(counts: ReleaseCounts): readonly PrivacyEvent[] {
    return eventsOf(this.#spec, this.#noiseMultiplier, counts);
  }

  /** Whether the budget covers the counts; without a budget, whether any finite epsilon does. */
  canPay(counts: ReleaseCounts): boolean {
    const { epsilon } = this.bound(counts);
    // Neither NaN nor Infinity is below anything.
    return epsilon <= (this.privacy.epsilon ?? Number.MAX_VALUE);
  }
}
