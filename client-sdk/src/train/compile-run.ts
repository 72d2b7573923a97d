import { adapterLayout, resolveAdapter, type RunSpec } from "@fedlora/core";
import type { ArtifactRef } from "../engine/artifact.js";
import { planAdapter } from "../lora/adapter-plan.js";
import type { BaseModel } from "../models/base-model.js";
import { maxPairRank, paddedRank, paddedRanks } from "../models/base-delta/split-chain.js";
import { createGraphs } from "./artifact-request.js";
import { createCompiler } from "./create-compiler.js";
import { lengthLadder } from "./length-buckets.js";

export interface CompileRunOptions {
  /** Whether the run's method changes the base weights: small changes enter graphs as inputs, whatever their rank is. */
  readonly editsBase: boolean;
  /** The adapter's tensors that are trained together, once per phase of the method; default: all of them, always. */
  readonly trained?: readonly ReadonlySet<string>[] | undefined;
}

/**
 * Compiles the graphs that a run's rounds need on a client of full rank: training and evaluation, one of each per length
 * bucket, and that for each rank of changes of the base weights that stay beside them. Clients that are given the folder
 * train without TensorFlow.js. Rounds of an initialisation from clients' sketches are not among them.
 *
 * @param outputFolder artifacts lie in it in a folder each, named by their keys
 */
export async function compileRun(
  baseModel: BaseModel,
  spec: RunSpec,
  outputFolder: string,
  { editsBase, trained }: CompileRunOptions,
): Promise<readonly ArtifactRef[]> {
  const resolved = resolveAdapter(spec.adapter, baseModel.manifest, spec.task);
  const layout = adapterLayout(resolved);
  const all = new Set(layout.map(({ name }) => name));
  const { task, training } = spec;
  const compile = createCompiler(baseModel, outputFolder);
  const artifacts = new Map<string, ArtifactRef>();
  for (const names of trained ?? [all]) {
    const roles = layout.map((tensor) => ({ spec: tensor, trained: names.has(tensor.name) }));
    const adapter = planAdapter(spec.adapter, task, baseModel.manifest, roles);
    const modules = adapter.adapted.map(({ name }) => name);
    for (const rank of pairRanks(spec, resolved.modules, editsBase)) {
      const shared = {
        baseModel,
        task,
        adapter,
        batch: training.batchSize,
        ...(rank > 0 && { pairs: { rank, modules } }),
      };
      const settings = {
        ...shared,
        purpose: "train",
        memory: training.memory,
        dropout: spec.adapter.dropout > 0,
        privacy: spec.privacy.mode === "example" ? "per-example" : "none",
      } as const;
      const graphs = [createGraphs(settings, compile), createGraphs({ ...shared, purpose: "evaluate" }, compile)];
      for (const length of lengthLadder(task.maxTokens)) {
        for (const graphFor of graphs) {
          const artifact = await graphFor(length);
          artifacts.set(artifact.manifest.key, artifact);
        }
      }
    }
  }
  return [...artifacts.values()];
}

/** Ranks of the pairs that the run's changes of the base weights can come to; 0: none beside the weights. */
function pairRanks(
  { adapter: { init } }: RunSpec,
  modules: readonly { readonly rank: number }[],
  editsBase: boolean,
): readonly number[] {
  if (editsBase) return [0, ...paddedRanks];
  const rank = Math.max(0, ...modules.map((module) => module.rank));
  const isSubtracted = init.kind === "file" && init.subtracted;
  return isSubtracted && rank <= maxPairRank ? [paddedRank(rank)] : [0];
}
