import { adapterSchema, initialAdapter, resolveAdapter, type TaskSpec, taskSchema } from "@fedlora/core";
import type { TrialStep } from "../engine/auto/time-engines.js";
import { planAdapter } from "../lora/adapter-plan.js";
import type { BaseModel } from "../models/base-model.js";
import { type Compile, createGraphs } from "./artifact-request.js";
import type { EncodedExample } from "./encode-example.js";
import { makeInputs } from "./make-inputs.js";
import { trainedDepth } from "./step-meter.js";

const rows = 4;
const tokensPerRow = 64;
/** What LoRA papers adapt: queries and values. */
const attention = String.raw`.*\.(query|value|q_proj|v_proj)`;

/**
 * A real training step of a base model, small but of its shapes, by which engines are compared: rank 8 on queries and
 * values, four rows of 64 tokens. `evaluate` gives its forward pass alone.
 */
export async function makeTrialStep(
  baseModel: BaseModel,
  compile: Compile,
  purpose: "train" | "evaluate" = "train",
): Promise<TrialStep & { readonly depth: number }> {
  const { family, manifest, maxPositions, tokenizer } = baseModel;
  const length = Math.min(tokensPerRow, maxPositions);
  const task: TaskSpec = family.tasks.includes("sequence-classification")
    ? taskSchema.parse({ kind: "sequence-classification", labels: ["no", "yes"], maxTokens: length })
    : taskSchema.parse({ kind: "causal-lm", maxTokens: length });
  const hasAttention = manifest.modules.some(({ name }) => new RegExp(`^${attention}$`, "u").test(name));
  const spec = adapterSchema.parse({ rank: 8, targetModules: hasAttention ? attention : "all-linear" });
  const tensors = initialAdapter(resolveAdapter(spec, manifest, task), 0);
  const roles = [...tensors].map(([name, { dtype, shape }]) => ({ spec: { name, dtype, shape }, trained: true }));
  const adapter = planAdapter(spec, task, manifest, roles);
  const artifact = await createGraphs({ baseModel, purpose, task, adapter, batch: rows }, compile)(length);
  const example: EncodedExample = {
    tokens: new Array<number>(length).fill(tokenizer.padTokenId),
    label: 0,
    targetStart: 1,
    numTargets: length - 1,
  };
  return {
    depth: trainedDepth(adapter.adapted, manifest.modules),
    artifact,
    weightsFile: await baseModel.weightsFile(),
    slot: { tensors, trained: [...adapter.trained.keys()], scalings: adapter.scalings, optimizer: undefined },
    inputs: makeInputs(artifact.manifest, {
      examples: Array.from({ length: rows }, () => example),
      padTokenId: tokenizer.padTokenId,
      weight: 1 / (rows * length),
    }),
  };
}
