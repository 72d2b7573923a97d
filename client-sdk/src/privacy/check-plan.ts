import { expectedBatch, FedLoraError, type DirectiveKind, type PlanInstructions, type PlanKind } from "@fedlora/core";

/** What leaves the client otherwise than by the update that is clipped and noised. */
const releasing: readonly DirectiveKind[] = [
  "gradient-sketch",
  "activation-sketch",
  "received-loss",
  "control-variate",
];

/**
 * Whether the guarantee that a plan promises follows from what it asks; before any data is touched.
 *
 * @throws FedLoraError `privacy-invalid` for a setting from which none follows, `privacy-unbounded` for a release that none
 *   of the modes accounts for
 */
export function assertPrivacySound(instructions: PlanInstructions, kind: PlanKind): void {
  const { privacy, training, directives, updateForm } = instructions;
  if (privacy === undefined) return;
  const { mode, noiseMultiplier, clipNorm, delta, metricsNoise } = privacy;
  assertPositive("noiseMultiplier", noiseMultiplier);
  assertPositive("clipNorm", clipNorm);
  if (!(delta > 0 && delta < 1)) throw invalid(`delta ${delta} must be above 0 and below 1`);
  if (metricsNoise !== undefined) assertPositive("metricsNoise", metricsNoise);
  if (kind === "evaluate") {
    if (metricsNoise !== undefined) return;
    throw unbounded("an evaluation's counts and losses are released without noise (metricsNoise is not set)");
  }
  const directive = directives.find((candidate) => releasing.includes(candidate.kind));
  if (directive !== undefined) {
    throw unbounded(
      `the directive ${directive.kind} releases something that privacy mode ${mode} does not account for`,
    );
  }
  // Values that only a DP-SGD step has moved are as private as the step; clipping and noise are for a difference.
  const forms = mode === "example" ? ["delta", "value"] : ["delta"];
  if (!forms.includes(updateForm))
    throw invalid(`updates of the form ${updateForm} do not go with privacy mode ${mode}`);
  if (privacy.mode !== "example") return;
  if (training.localSteps === undefined) {
    throw invalid(
      "privacy mode example needs localSteps: the number of steps of an epoch tells how many examples there are",
    );
  }
  const batch = expectedBatch(training);
  if (privacy.minExamples < batch) {
    throw invalid(`a batch of ${batch} of ${privacy.minExamples} examples (minExamples) is a sampling rate above 1`);
  }
}

function assertPositive(name: string, value: number): void {
  if (!(value > 0 && value < Infinity)) throw invalid(`${name} ${value} must be a finite number above 0`);
}

const invalid = (message: string): FedLoraError =>
  new FedLoraError("privacy-invalid", `the plan's privacy: ${message}`);
const unbounded = (message: string): FedLoraError =>
  new FedLoraError("privacy-unbounded", `the plan's privacy: ${message}`);
