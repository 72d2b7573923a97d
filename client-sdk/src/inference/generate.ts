import { FedLoraError, randomKey, RandomStream } from "@fedlora/core";
import type { ArtifactRef } from "../engine/artifact.js";
import type { SlotSpec, TrainingEngine } from "../engine/engine.js";
import type { BaseModel } from "../models/base-model.js";
import { outputName } from "../train/evaluate-adapter.js";
import { bucketFor, lengthLadder } from "../train/length-buckets.js";
import { makeInputs } from "../train/make-inputs.js";
import type { GenerateOptions } from "./adapted-model.js";
import { softmax } from "./softmax.js";

/** Texts grow no longer than this even where a model has no end of positions. */
const mostPositions = 8192;

export interface GenerateRequest {
  readonly engine: TrainingEngine;
  readonly baseModel: BaseModel;
  readonly weightsFile: string;
  readonly slot: SlotSpec;
  /** Graphs of one row. */
  readonly graphFor: (length: number) => Promise<ArtifactRef>;
}

/** See `AdaptedModel.generate`. A model ends its text with its end token, or by beginning another one. */
export async function generateText(
  request: GenerateRequest,
  prompt: string,
  options: GenerateOptions,
): Promise<string> {
  const { engine, baseModel, weightsFile } = request;
  const { tokenizer } = baseModel;
  const maxPositions = Math.min(baseModel.maxPositions, mostPositions);
  const promptIds = tokenizer.encode(prompt);
  if (promptIds.length === 0 && tokenizer.bosTokenId !== undefined) promptIds.push(tokenizer.bosTokenId);
  if (promptIds.length === 0 || promptIds.length > maxPositions) {
    const message = `the prompt has ${promptIds.length} tokens; the model takes 1 to ${maxPositions}`;
    throw new FedLoraError("data-invalid", message);
  }
  const ids = [...promptIds];
  const buckets = lengthLadder(maxPositions);
  const choose = createChooser(options);
  const slot = await engine.createSlot(request.slot);
  try {
    const most = Math.min(maxPositions, promptIds.length + (options.maxNewTokens ?? 64));
    while (ids.length < most) {
      if (options.signal?.aborted === true) throw new FedLoraError("cancelled", "generation was cancelled");
      const artifact = await request.graphFor(bucketFor(ids.length, buckets));
      const examples = [{ tokens: ids, label: 0, targetStart: ids.length, numTargets: 0 }];
      const inputs = makeInputs(artifact.manifest, { examples, padTokenId: tokenizer.padTokenId, weight: 0 });
      const name = outputName(artifact.manifest, "logits");
      const outputs = await engine.infer({ artifact, weightsFile, slot, inputs, outputs: [name] }, options.signal);
      const logits = outputs[name]?.data;
      if (!(logits instanceof Float32Array)) throw new FedLoraError("artifact-invalid", `output "${name}" is not F32`);
      const id = choose(logits);
      if (id === tokenizer.eosTokenId || id === tokenizer.bosTokenId) break;
      ids.push(id);
    }
  } finally {
    await engine.releaseSlot(slot).catch(() => undefined);
  }
  return textAfter(tokenizer.decode(promptIds), tokenizer.decode(ids), () =>
    tokenizer.decode(ids.slice(promptIds.length)),
  );
}

/** What was added, with the space that a tokenizer may hide at the start of a text. */
function textAfter(before: string, whole: string, added: () => string): string {
  return whole.startsWith(before) ? whole.slice(before.length) : added();
}

function createChooser(options: GenerateOptions): (logits: Float32Array) => number {
  if (options.greedy ?? true) return largest;
  const stream = new RandomStream(randomKey(options.seed ?? 0));
  return (logits) => {
    let left = stream.uniform();
    const probabilities = softmax(logits, options.temperature ?? 1);
    for (const [id, probability] of probabilities.entries()) {
      left -= probability;
      if (left < 0) return id;
    }
    return largest(logits);
  };
}

/** Index of the largest value; the first of equals. */
function largest(values: Float32Array): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) if ((values[index] ?? 0) > (values[best] ?? 0)) best = index;
  return best;
}
