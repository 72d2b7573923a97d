import { adapterLayout, resolveAdapter, type RunSpec } from "@fedlora/core";
import type { ArtifactRef } from "../engine/artifact.js";
import { planAdapter } from "../lora/adapter-plan.js";
import type { BaseModel } from "../models/base-model.js";
import { createGraphs } from "./artifact-request.js";
import { createCompiler } from "./create-compiler.js";
import { lengthLadder } from "./length-buckets.js";

/**
 * Compiles every graph that a run can need on a client: training and evaluation, one of each per length bucket. Clients
 * that are given the folder train without TensorFlow.js.
 *
 * @param outputFolder artifacts lie in it in a folder each, named by their keys
 */
export async function compileRun(
  baseModel: BaseModel,
  spec: RunSpec,
  outputFolder: string,
): Promise<readonly ArtifactRef[]> {
  const layout = adapterLayout(resolveAdapter(spec.adapter, baseModel.manifest, spec.task));
  const roles = layout.map((tensor) => ({ spec: tensor, trained: true }));
  const adapter = planAdapter(spec.adapter, spec.task, baseModel.manifest, roles);
  const { task, training } = spec;
  const shared = { baseModel, task, adapter, batch: training.batchSize };
  const settings = {
    ...shared,
    purpose: "train",
    memory: training.memory,
    dropout: spec.adapter.dropout > 0,
    privacy: spec.privacy.mode === "example" ? "per-example" : "none",
  } as const;
  const compile = createCompiler(baseModel, outputFolder);
  const trainGraph = createGraphs(settings, compile);
  const evaluateGraph = createGraphs({ ...shared, purpose: "evaluate" }, compile);
  const artifacts: ArtifactRef[] = [];
  for (const length of lengthLadder(task.maxTokens))
    artifacts.push(await trainGraph(length), await evaluateGraph(length));
  return artifacts;
}
