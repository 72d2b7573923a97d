import type { PrivacyReport } from "@fedlora/proto";

import type { RunMachineState } from "../rounds/run-state.js";
import { samplingRateOf } from "./privacy-terms.js";
import { RunAccount } from "./run-account.js";
import { exposure } from "./run-privacy.js";
import { privacyWarnings } from "./settle-noise.js";

/**
 * What a run has released so far, and the bound that follows.
 *
 * @param known the run's account, which remembers what it computed; default: a new one
 */
export function privacyReport({ spec, privacy, rounds }: RunMachineState, known?: RunAccount): PrivacyReport {
  if (spec.privacy.mode === "none" || privacy === null) return { mode: "none" };
  const { noiseMultiplier, isNoiseSolved, clipNorm, settled } = privacy;
  const account = known ?? new RunAccount(spec, spec.privacy, noiseMultiplier);
  const spent = exposure(privacy);
  const { epsilon, lowerEpsilon, warnings } = account.bound(spent);
  return {
    mode: spec.privacy.mode,
    account: {
      accountant: spec.privacy.accountant,
      delta: spec.privacy.delta,
      epsilonSpent: epsilon,
      epsilonSpentLower: lowerEpsilon,
      epsilonSettled: account.bound(settled).epsilon,
      epsilonBudget: spec.privacy.epsilon,
      noiseMultiplier,
      isNoiseSolved,
      clipNorm,
      samplingRate: samplingRateOf(spec),
      events: account.events(spent),
      warnings: [...privacyWarnings(spec), ...warnings],
    },
    rounds: rounds.flatMap(({ round, privacy: facts }) =>
      facts === null
        ? []
        : [{ round, epsilon: facts.epsilon, clipNorm: facts.clipNorm, unclippedShare: facts.unclippedShare }],
    ),
  };
}
