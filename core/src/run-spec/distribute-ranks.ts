import { adaptedLayers } from "../adapter/adapted-layers.js";
import { resolveAdapter } from "../adapter/lora-config.js";
import type { ResolvedModule } from "../adapter/lora-config.js";
import { rankDistribution } from "../adapter/rank-distribution.js";
import { FedLoraError } from "../errors.js";
import type { ModelManifest } from "../model/manifest.js";
import type { LegendPlanSpec } from "./rank-plan-schema.js";
import type { AdapterSpec, RunSpec } from "./schema.js";

/**
 * The adapter of a run that a LEGEND plan gives its ranks: they grow from layer to layer towards the output, and are the
 * same for every client that holds the layer, so they are the adapter's own, written into its patterns. Alphas follow the
 * ranks, so that the scaling is that of `adapter.rank` everywhere.
 *
 * @throws FedLoraError `spec-invalid` where the patterns are taken or the distribution does not fit the model
 */
export function distributeRanks(spec: RunSpec, manifest: ModelManifest): AdapterSpec {
  const { adapter, rankPlan, task } = spec;
  if (rankPlan.kind !== "legend") return adapter;
  const plain = resolveAdapter({ ...adapter, rankPattern: {}, alphaPattern: {} }, manifest, task);
  const layers = adaptedLayers(plain.modules);
  const ranks = distributionOf(rankPlan, adapter.rank, layers.length);
  const patterns = layers.flatMap((modules, index) =>
    modules.map((module) => {
      const rank = ranks[index] ?? adapter.rank;
      const share = rank / adapter.rank;
      return { key: patternOf(module), rank, alpha: module.alpha * (adapter.rslora ? Math.sqrt(share) : share) };
    }),
  );
  const isUniform = patterns.every(({ rank }) => rank === adapter.rank);
  const entries = isUniform ? [] : patterns;
  const made = {
    rankPattern: Object.fromEntries(entries.map(({ key, rank }) => [key, rank])),
    alphaPattern: Object.fromEntries(entries.map(({ key, alpha }) => [key, alpha])),
  };
  for (const field of ["rankPattern", "alphaPattern"] as const) {
    const isTaken = Object.keys(adapter[field]).length > 0 && !areEqual(adapter[field], made[field]);
    if (isTaken) refuse(`adapter.${field}`, "is made by rankPlan legend: leave it out");
  }
  return { ...adapter, ...made };
}

/** Ranks from the input to the output. Throws `spec-invalid`. */
function distributionOf(plan: LegendPlanSpec, maxRank: number, numLayers: number): readonly number[] {
  const { rankStep: step, totalRank: total } = plan;
  const minRank = plan.minRank ?? Math.max(1, maxRank - step * (numLayers - 1));
  if (minRank > maxRank) refuse("rankPlan.minRank", `${minRank} is above adapter.rank ${maxRank}`);
  if (plan.minDepth > numLayers) {
    refuse("rankPlan.minDepth", `${plan.minDepth} is more than the ${numLayers} adapted layers of the model`);
  }
  if (total !== undefined && (total < numLayers * minRank || total > numLayers * maxRank)) {
    const range = `from ${numLayers * minRank} (layers x minRank) to ${numLayers * maxRank} (layers x adapter.rank)`;
    refuse("rankPlan.totalRank", `${total} does not fit ${numLayers} adapted layers: it must be ${range}`);
  }
  return rankDistribution(numLayers, { minRank, maxRank, step, total });
}

/** Matches the module's whole layer, so that a spec stays small; a module outside the layers by its name. */
function patternOf({ name, layer }: Pick<ResolvedModule, "name" | "layer">): string {
  const number = `.${String(layer)}.`;
  const at = name.indexOf(number);
  return layer === null || at === -1 ? literally(name) : `${literally(name.slice(0, at + number.length))}.*`;
}

function literally(name: string): string {
  return name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function areEqual(a: Readonly<Record<string, number>>, b: Readonly<Record<string, number>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function refuse(path: string, problem: string): never {
  throw new FedLoraError("spec-invalid", `${path}: ${problem}`, { details: { path } });
}
