import {
  adapterKeys,
  adapterLayout,
  adapterSchema,
  fromFloat32,
  resolveAdapter,
  taskSchema,
  toStateDict,
  trainingSchema,
  type AdapterSpec,
  type ModelManifest,
  type PlanInstructions,
  type StateDict,
  type TaskSpec,
} from "@fedlora/core";
import { localInstructions } from "../run/local-instructions.js";
import type { SmallDecoderSpec } from "../scenario/model-schema.js";

export interface WholeMatrixTraining {
  readonly task: TaskSpec;
  readonly adapter: AdapterSpec;
  readonly instructions: PlanInstructions;
  readonly start: StateDict;
}

/**
 * Training of whole matrices by an engine that trains adapters: of the rank of the smaller side, where one factor is the
 * identity and stays, the other is the matrix's change itself, [dOut, dIn], and its gradient is the matrix's own.
 */
export function wholeMatrixTraining(
  manifest: ModelManifest,
  { width, pretraining }: Pick<SmallDecoderSpec, "width" | "pretraining">,
): WholeMatrixTraining {
  const { maxTokens, steps, batchSize, learningRate, seed } = pretraining;
  const task = taskSchema.parse({ kind: "causal-lm", maxTokens });
  const adapter = adapterSchema.parse({ rank: width, alpha: width, targetModules: "all-linear" });
  const resolved = resolveAdapter(adapter, manifest, task);
  const trained = new Set<string>();
  const values = new Map<string, Float32Array>();
  for (const { name, dIn, dOut, rank } of resolved.modules) {
    const { a, b } = adapterKeys(name);
    const isA = dIn <= dOut;
    trained.add(isA ? b : a);
    values.set(isA ? a : b, identity(rank));
    values.set(isA ? b : a, new Float32Array(dIn * dOut));
  }
  const layout = adapterLayout(resolved);
  const training = trainingSchema.parse({
    localSteps: steps,
    batchSize,
    optimizer: { learningRate, beta2: 0.99, weightDecay: 0 },
    schedule: { kind: "cosine", warmupSteps: Math.min(40, Math.floor(steps / 10)) },
    seed,
  });
  return {
    task,
    adapter,
    start: toStateDict(
      layout.map(({ name, shape }) => [name, fromFloat32(values.get(name) ?? new Float32Array(), shape)] as const),
    ),
    instructions: localInstructions({ task, adapter, training }, layout, (name) => trained.has(name)),
  };
}

function identity(size: number): Float32Array {
  const values = new Float32Array(size * size);
  for (let index = 0; index < size; index += 1) values[index * (size + 1)] = 1;
  return values;
}
