import { expectedBatch, type PlanPrivacy, type PrivacyEvent, SecretRandom, type TrainingSpec } from "@fedlora/core";
import type { ExampleClipping, GradientNoise } from "../engine/engine.js";
import { drawPoissonSteps, type PoissonRequest, type PoissonSteps } from "./poisson-steps.js";
import { type SecretSource, systemSecrets } from "./secrets.js";

/** What makes a round's optimizer steps those of DP-SGD (Abadi et al. 2016). */
export interface PrivateSteps {
  readonly clipping: ExampleClipping;
  /** Of one step, under a key of its own. */
  noise(): GradientNoise;
  /**
   * Words for the dropout masks of one micro-batch. They are secret: an example's mask depends on the row that the others
   * left it, so an attacker who knew the masks would see one example's absence in the gradients of the others.
   */
  maskStream(): (module: string) => SecretRandom;
  /** What so many steps release. */
  events(steps: number): readonly PrivacyEvent[];
}

export interface PrivateTraining {
  readonly prepared: PoissonSteps;
  readonly steps: PrivateSteps;
}

/**
 * Draws the batches and fixes clipping and noise; undefined for a plan whose privacy is not made at the examples.
 *
 * @throws FedLoraError what `drawPoissonSteps` throws
 */
export async function preparePrivateTraining(
  privacy: PlanPrivacy | undefined,
  request: Omit<PoissonRequest, "minExamples" | "key"> & { readonly secrets?: SecretSource },
  signal: AbortSignal,
  turn: () => Promise<void>,
): Promise<PrivateTraining | undefined> {
  if (privacy?.mode !== "example") return undefined;
  const { secrets = systemSecrets, training } = request;
  const { minExamples } = privacy;
  const prepared = await drawPoissonSteps({ ...request, minExamples, key: secrets.next() }, signal, turn);
  return { prepared, steps: privateSteps(privacy, training, prepared.samplingRate, secrets) };
}

/** Clipping and noise of the steps of one training. */
export function privateSteps(
  { clipping, clipNorm, noiseMultiplier }: PlanPrivacy & { readonly mode: "example" },
  training: TrainingSpec,
  samplingRate: number,
  secrets: SecretSource,
): PrivateSteps {
  return {
    clipping: { kind: clipping, clipNorm },
    noise: () => ({ key: secrets.next(), std: noiseMultiplier * clipNorm, divisor: expectedBatch(training) }),
    maskStream: () => {
      const stream = new SecretRandom(secrets.next());
      return () => stream;
    },
    events: (count) => [{ mechanism: { kind: "sampled-gaussian", noiseMultiplier, samplingRate }, count }],
  };
}
