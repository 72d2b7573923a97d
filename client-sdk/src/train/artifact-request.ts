import type { ArtifactPurpose, ArtifactRef, ArtifactRequest } from "../engine/artifact.js";
import type { AdapterPlan } from "../lora/adapter-plan.js";
import type { BaseDeltaPairs } from "../models/base-delta/low-rank-pairs.js";
import type { BaseModel } from "../models/base-model.js";

/** Compiles a graph, or finds it in its cache. */
export type Compile = (request: ArtifactRequest) => Promise<ArtifactRef>;

export interface GraphSettings {
  readonly baseModel: Pick<BaseModel, "manifest" | "family" | "configJson">;
  readonly purpose: ArtifactPurpose;
  readonly task: ArtifactRequest["task"];
  /** With the run's ranks, graphs are shared by clients of like ranks; without, they have exactly the adapter's. */
  readonly adapter: Pick<AdapterPlan, "adapted" | "modulesToSave"> & Partial<Pick<AdapterPlan, "fullRanks">>;
  /** Rows of a batch. */
  readonly batch: number;
  readonly memory?: ArtifactRequest["memory"];
  readonly dropout?: boolean;
  /** Of a training graph: with a gradient per example; default none. */
  readonly privacy?: ArtifactRequest["privacy"];
  /** Low-rank changes of the base weights that enter as inputs. */
  readonly pairs?: Pick<BaseDeltaPairs, "rank" | "modules"> | undefined;
}

/**
 * The rank that a module has in the graph: below the run's own it is a power of two from 4 on, so that a planner that
 * changes ranks from round to round asks for few graphs.
 *
 * @param fullRank the run's; absent: nobody's rank is cut
 */
export function graphRank(rank: number, fullRank = rank): number {
  if (rank >= fullRank) return rank;
  return Math.min(fullRank, Math.max(4, 2 ** Math.ceil(Math.log2(rank))));
}

/**
 * The graphs of one piece of work, one per length bucket; each is compiled once.
 *
 * @returns length of the rows -> graph
 */
export function createGraphs(settings: GraphSettings, compile: Compile): (length: number) => Promise<ArtifactRef> {
  const { baseModel, adapter, purpose } = settings;
  const graphs = new Map<number, Promise<ArtifactRef>>();
  // Only a training graph differentiates, so all others are the same whatever is trained.
  const padded = adapter.adapted.map((module) => {
    return { ...module, rank: graphRank(module.rank, adapter.fullRanks?.[module.name]) };
  });
  const adapted =
    purpose === "train"
      ? padded
      : padded.map(({ name, rank, form }) => ({ name, rank, trained: false, ...(form && { form }) }));
  const names = new Set(adapted.map(({ name }) => name));
  const baseDeltaModules = (settings.pairs?.modules ?? []).filter((name) => !names.has(name));
  return (length) => {
    const known = graphs.get(length);
    if (known !== undefined) return known;
    const graph = compile({
      baseModelHash: baseModel.manifest.hash,
      family: baseModel.family.name,
      config: baseModel.configJson,
      purpose,
      task: settings.task,
      batch: settings.batch,
      length,
      adapted,
      modulesToSave: adapter.modulesToSave,
      privacy: settings.privacy ?? "none",
      memory: settings.memory ?? "plain",
      dropout: settings.dropout ?? false,
      baseDeltaRank: settings.pairs?.rank ?? 0,
      ...(baseDeltaModules.length > 0 && { baseDeltaModules }),
    });
    graphs.set(length, graph);
    return graph;
  };
}
