import { FedLoraError, type StateDict, systemClock, type TaskSpec, taskSchema } from "@fedlora/core";
import type { ArtifactPurpose, ArtifactRequest, OutputRole } from "../engine/artifact.js";
import { type AdapterPlan, planAdapter } from "../lora/adapter-plan.js";
import type { SavedAdapter } from "../lora/adapter-folder.js";
import type { BaseModel } from "../models/base-model.js";
import { type Compile, createGraphs } from "../train/artifact-request.js";
import type { EncodedExample } from "../train/encode-example.js";
import type { EngineHandle } from "../train/engine-handle.js";
import { createFairShare } from "../train/fair-share.js";
import type { HeldBase } from "../train/held-base.js";
import type { AdaptedModel, Classification, GenerateOptions, InferenceOptions } from "./adapted-model.js";
import { generateText } from "./generate.js";
import { runRows } from "./run-rows.js";
import { softmax } from "./softmax.js";

/** Rows of a batch: enough to keep the cores busy, few enough to stay small. */
const batchRows = 8;
const embeddingTokens = 256;

export interface AdaptedModelOptions {
  readonly baseModel: BaseModel;
  /** The base weights that the adapter counts on. */
  readonly base: Pick<HeldBase, "open">;
  /** Not ended by the model: others may share it. */
  readonly engine: EngineHandle;
  readonly compile: Compile;
  /** Without one, the base model is used as it is. */
  readonly adapter?: SavedAdapter;
}

/**
 * Opens a base model with an adapter.
 *
 * @throws FedLoraError `adapter-invalid` where the adapter's tensors do not fit the model
 */
export function createAdaptedModel(options: AdaptedModelOptions): AdaptedModel {
  const { baseModel, engine, compile, adapter } = options;
  const { tokenizer } = baseModel;
  const none: AdapterPlan = { adapted: [], fullRanks: {}, modulesToSave: [], scalings: {}, trained: new Map() };
  const tensors: StateDict = adapter?.tensors ?? new Map();
  const plan =
    adapter === undefined
      ? none
      : planAdapter(
          adapter.spec,
          adapter.task,
          baseModel.manifest,
          [...tensors].map(([name, { dtype, shape }]) => ({ spec: { name, dtype, shape }, trained: false })),
        );
  const adapted = new Set(plan.adapted.map(({ name }) => name));

  const unsupported = (what: string): FedLoraError =>
    new FedLoraError("model-unsupported", `"${baseModel.manifest.name}" with this adapter cannot ${what}`);
  /** What a piece of work runs on: engine, weights, slot and graphs. */
  const prepare = async (purpose: ArtifactPurpose, task: ArtifactRequest["task"], batch: number) => {
    const base = await options.base.open(adapted);
    const { weightsFile, pairs } = base;
    // Heads are for the task's own logits; other purposes do not read them.
    const adapterOf = purpose === "evaluate" ? plan : { ...plan, modulesToSave: [] };
    const baseDelta = pairs && { baseDelta: pairs.tensors };
    return {
      engine: await engine.get(),
      baseModel,
      weightsFile,
      slot: { tensors, trained: [], scalings: plan.scalings, optimizer: undefined, ...baseDelta },
      graphFor: createGraphs({ baseModel, purpose, task, adapter: adapterOf, batch, pairs }, async (request) =>
        base.place(await compile(request)),
      ),
    };
  };

  /** Values of one output per text, in the texts' order. */
  async function run(
    texts: readonly string[],
    purpose: ArtifactPurpose,
    task: ArtifactRequest["task"],
    output: OutputRole,
    maxTokens: number,
    { signal }: InferenceOptions,
  ): Promise<readonly Float32Array[]> {
    const rows: EncodedExample[] = [];
    const turn = createFairShare(systemClock);
    for (const text of texts) {
      const limit = Math.min(maxTokens, baseModel.maxPositions);
      rows.push({ tokens: tokenizer.encode(text, { maxTokens: limit }), label: 0, targetStart: 0, numTargets: 1 });
      await turn();
    }
    const batch = texts.length === 1 ? 1 : batchRows;
    return runRows({
      ...(await prepare(purpose, task, batch)),
      rows,
      batch,
      output,
      maxTokens: Math.min(maxTokens, baseModel.maxPositions),
      signal,
    });
  }

  return {
    async classify(texts, inferenceOptions = {}): Promise<readonly Classification[]> {
      const task = adapter?.task;
      if (task?.kind !== "sequence-classification") throw unsupported("classify");
      const rows = await run(texts, "evaluate", task, "logits", task.maxTokens, inferenceOptions);
      return rows.map((logits) => toClassification(logits, task.labels));
    },
    async embed(texts, inferenceOptions = {}): Promise<readonly Float32Array[]> {
      if (!baseModel.family.tasks.includes("embedding")) throw unsupported("embed");
      const maxTokens = adapter?.task.maxTokens ?? embeddingTokens;
      return run(texts, "embed", { kind: "embedding" }, "embedding", maxTokens, inferenceOptions);
    },
    async generate(prompt: string, generateOptions: GenerateOptions = {}): Promise<string> {
      const task: TaskSpec = adapter?.task ?? taskSchema.parse({ kind: "causal-lm" });
      if (task.kind !== "causal-lm" || !baseModel.family.tasks.includes("causal-lm")) throw unsupported("generate");
      return generateText(await prepare("generate", task, 1), prompt, generateOptions);
    },
  };
}

function toClassification(logits: Float32Array, labels: readonly string[]): Classification {
  const probabilities = softmax(logits);
  const best = probabilities.reduce((top, value, index) => (value > (probabilities[top] ?? 0) ? index : top), 0);
  return {
    label: labels[best] ?? "",
    score: probabilities[best] ?? 0,
    scores: Object.fromEntries(labels.map((label, index) => [label, probabilities[index] ?? 0])),
  };
}
