import type { ModelManifest, RunSpec, StateDict } from "@fedlora/core";
import { entryNoise, type EntryNoise } from "./entry-noise.js";
import { noiseTable, type NoiseTable } from "./noise-table.js";

/** The noise of a private run in its weights, beside what other methods would make of it. */
export interface RunNoise extends NoiseTable {
  readonly entries: EntryNoise;
}

/**
 * What a run's privacy will leave in its effective weights per round; undefined for a run without privacy.
 *
 * @param noiseMultiplier standard deviation over the sensitivity, given or solved
 * @param adapter of the run, for the norms of its factors; absent: a fresh adapter's
 */
export function runNoise(
  spec: RunSpec,
  model: Pick<ModelManifest, "modules" | "heads">,
  noiseMultiplier: number,
  adapter?: StateDict,
): RunNoise | undefined {
  const { privacy, training } = spec;
  if (privacy.mode === "none") return undefined;
  const entries = entryNoise(spec, privacy, noiseMultiplier, training.localSteps ?? 1);
  return { ...noiseTable({ spec, model, noise: entries, adapter }), entries };
}

/** One sentence: which method is the better choice, or that the run has it. */
export function noiseVerdict({ chosen, better, latentRank }: NoiseTable): string {
  if (chosen === undefined) return "The noise that the run's method leaves in the weights has no closed form.";
  if (better === undefined) return `${chosen.method} leaves the least noise in the weights of the methods that fit.`;
  const times = (chosen.grown / better.grown).toFixed(1);
  const rank = latentRank === undefined ? "" : `; fed-sb stays below ffa-lora up to rank ${latentRank}`;
  return `Better: ${better.method} leaves ${times} times less noise in the weights than ${chosen.method} for the same guarantee${rank}.`;
}
