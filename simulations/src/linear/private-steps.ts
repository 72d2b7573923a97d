import type { SecretSource } from "@fedlora/client-sdk";
import {
  derivedSecrets,
  poissonBatches,
  privateSteps,
  systemSecrets,
  type PrivateSteps,
} from "@fedlora/client-sdk/parts";
import type { PlanInstructions } from "@fedlora/core";

export interface LinearPrivateRound {
  /** Positions of the examples that each step takes. */
  readonly batches: readonly (readonly number[])[];
  readonly steps: PrivateSteps;
}

/**
 * The steps of DP-SGD as the engine's trainer takes them: the same draw, clipping, noise and accounting, of a client whose
 * every example is usable. One key is taken from `secrets`, from which all others follow. Undefined for a plan whose privacy is
 * not made at the examples.
 *
 * @throws FedLoraError `privacy-invalid` where there are fewer examples than the plan needs
 */
export function preparePrivateRound(
  { privacy, training }: PlanInstructions,
  name: string,
  numExamples: number,
  secrets: SecretSource = systemSecrets,
): LinearPrivateRound | undefined {
  if (privacy?.mode !== "example") return undefined;
  const own = derivedSecrets(secrets.next(), secrets.isSecret);
  const { minExamples } = privacy;
  const { samplingRate, batches } = poissonBatches(numExamples, { name, training, minExamples, key: own.next() });
  return { batches: [...batches], steps: privateSteps(privacy, training, samplingRate, own) };
}
