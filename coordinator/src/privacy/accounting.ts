import { createAccountant } from "@fedlora/core";
import type { Accountant, PrivacyBound, PrivacyEvent, RunSpec } from "@fedlora/core";

import type { RunNoise } from "./run-privacy.js";
import { settleNoise } from "./settle-noise.js";

/** What an accountant is asked, as plain data. */
export interface BoundQuestion {
  readonly accountant: Accountant["name"];
  readonly delta: number;
  readonly events: readonly PrivacyEvent[];
}

/** The computations that take long: a privacy-loss distribution takes up to a second, a search for noise several of them. */
export interface Accounting {
  bound(question: BoundQuestion): Promise<PrivacyBound>;
  /** See `settleNoise`. */
  noise(spec: RunSpec): Promise<RunNoise | undefined>;
  close(): Promise<void>;
}

export function answerBound({ accountant, delta, events }: BoundQuestion): PrivacyBound {
  return createAccountant(accountant).epsilon(events, delta);
}

/** In the caller's thread, for tests and simulations: the same answers. */
export const inlineAccounting: Accounting = {
  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  bound: async (question) => answerBound(question),
  // eslint-disable-next-line @typescript-eslint/require-await -- so that what it throws rejects
  noise: async (spec) => settleNoise(spec),
  close: () => Promise.resolve(),
};
