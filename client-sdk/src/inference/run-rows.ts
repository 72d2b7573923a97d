import { FedLoraError } from "@fedlora/core";
import type { ArtifactRef, OutputRole } from "../engine/artifact.js";
import type { SlotSpec, TrainingEngine } from "../engine/engine.js";
import type { BaseModel } from "../models/base-model.js";
import type { EncodedExample } from "../train/encode-example.js";
import { outputName } from "../train/evaluate-adapter.js";
import { bucketFor, chooseBuckets, lengthLadder } from "../train/length-buckets.js";
import { makeInputs } from "../train/make-inputs.js";
import { longestRow } from "../train/micro-batches.js";
import { maxBuckets } from "../train/prepare-training.js";

export interface RowsRequest {
  readonly engine: TrainingEngine;
  readonly baseModel: Pick<BaseModel, "tokenizer">;
  readonly weightsFile: string;
  readonly slot: SlotSpec;
  readonly rows: readonly EncodedExample[];
  /** Rows of a batch. */
  readonly batch: number;
  /** The output to collect; its first dimension counts the rows. */
  readonly output: OutputRole;
  readonly maxTokens: number;
  readonly graphFor: (length: number) => Promise<ArtifactRef>;
  readonly signal: AbortSignal | undefined;
}

/**
 * Runs rows forward in batches of like length and returns one output's values per row, in the order given.
 *
 * @throws FedLoraError `cancelled`, and what the engine throws
 */
export async function runRows(request: RowsRequest): Promise<readonly Float32Array[]> {
  const { engine, baseModel, weightsFile, rows, batch, signal } = request;
  const order = [...rows.keys()].sort((a, b) => (rows[b]?.tokens.length ?? 0) - (rows[a]?.tokens.length ?? 0));
  const batches: number[][] = [];
  for (let start = 0; start < order.length; start += batch) batches.push(order.slice(start, start + batch));
  const rowsOf = (indices: readonly number[]): EncodedExample[] => indices.flatMap((index) => rows[index] ?? []);
  const longest = batches.map((indices) => longestRow(rowsOf(indices)));
  const buckets = chooseBuckets(longest, lengthLadder(request.maxTokens), maxBuckets);

  const results = new Array<Float32Array>(rows.length);
  const slot = await engine.createSlot(request.slot);
  try {
    for (const indices of batches) {
      if (signal?.aborted === true) throw new FedLoraError("cancelled", "inference was cancelled");
      const examples = rowsOf(indices);
      const artifact = await request.graphFor(bucketFor(longestRow(examples), buckets));
      const inputs = makeInputs(artifact.manifest, { examples, padTokenId: baseModel.tokenizer.padTokenId, weight: 0 });
      const name = outputName(artifact.manifest, request.output);
      const outputs = await engine.infer({ artifact, weightsFile, slot, inputs, outputs: [name] }, signal);
      const values = outputs[name]?.data;
      if (!(values instanceof Float32Array)) throw new FedLoraError("artifact-invalid", `output "${name}" is not F32`);
      const size = values.length / batch;
      for (const [row, index] of indices.entries()) results[index] = values.slice(row * size, (row + 1) * size);
    }
  } finally {
    await engine.releaseSlot(slot).catch(() => undefined);
  }
  return results;
}
