import { createAccountant } from "@fedlora/core";
import type { Accountant, PrivacyBound, PrivacyEvent, RunSpec } from "@fedlora/core";

import type { Accounting } from "./accounting.js";
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

  /** Has the bounds of such counts computed elsewhere, so that `bound` knows them. */
  async prepare(accounting: Accounting, all: Iterable<ReleaseCounts>): Promise<void> {
    const { accountant, delta } = this.privacy;
    for (const counts of all) {
      if (this.#known.has(keyOf(counts))) continue;
      this.#remember(counts, await accounting.bound({ accountant, delta, events: this.events(counts) }));
    }
  }

  bound(counts: ReleaseCounts): PrivacyBound {
    const known = this.#known.get(keyOf(counts));
    return this.#remember(counts, known ?? this.#accountant.epsilon(this.events(counts), this.privacy.delta));
  }

  events(counts: ReleaseCounts): readonly PrivacyEvent[] {
    return eventsOf(this.#spec, this.#noiseMultiplier, counts);
  }

  #remember(counts: ReleaseCounts, bound: PrivacyBound): PrivacyBound {
    const key = keyOf(counts);
    this.#known.delete(key);
    this.#known.set(key, bound);
    const [oldest] = this.#known.keys();
    if (this.#known.size > maxRemembered && oldest !== undefined) this.#known.delete(oldest);
    return bound;
  }

  /** Whether the budget covers the counts; without a budget, whether any finite epsilon does. */
  canPay(counts: ReleaseCounts): boolean {
    const { epsilon } = this.bound(counts);
    // Neither NaN nor Infinity is below anything.
    return epsilon <= (this.privacy.epsilon ?? Number.MAX_VALUE);
  }
}

const keyOf = ({ training, evaluation }: ReleaseCounts): string => `${training}:${evaluation}`;
