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
  readonly adapter: Pick<AdapterPlan, "adapted" | "modulesToSave">;
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
 * The graphs of one piece of work, one per length bucket; each is compiled once.
 *
 * @returns length of the rows -> graph
 */
export function createGraphs(settings: GraphSettings, compile: Compile): (length: number) => Promise<ArtifactRef> {
  const { baseModel, adapter, purpose } = settings;
  const graphs = new Map<number, Promise<ArtifactRef>>();
  // Only a training graph differentiates, so all others are the same whatever is trained.
  const adapted =
    purpose === "train"
      ? adapter.adapted
      : adapter.adapted.map(({ name, rank, form }) => ({ name, rank, trained: false, ...(form && { form }) }));
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
