import { FedLoraError, type RandomKey, RandomStream } from "@fedlora/core";
import type { TrainingEngine } from "../engine/engine.js";
import type { EncodedExample } from "./encode-example.js";
import { type EvaluationWork, evaluateAdapter } from "./evaluate-adapter.js";
import type { PreparedTraining } from "./prepare-training.js";

/**
 * Mean loss of the received model, in nats per example or target token, on at most `limit` of the different examples that
 * the round's steps take; `key` decides which.
 *
 * @throws FedLoraError `update-not-finite` where the received model gives no finite loss, and what the engine throws
 */
export async function measureReceivedLoss(
  engine: TrainingEngine,
  work: Omit<EvaluationWork, "examples">,
  prepared: PreparedTraining,
  limit: number,
  key: RandomKey,
  signal: AbortSignal,
): Promise<number> {
  const examples = drawExamples(prepared, limit, key);
  const { count, lossSum } = await evaluateAdapter(engine, { ...work, examples }, signal, () => undefined);
  const loss = lossSum / count;
  if (!Number.isFinite(loss)) throw new FedLoraError("update-not-finite", `the received model has the loss ${loss}`);
  return loss;
}

function drawExamples({ steps }: PreparedTraining, limit: number, key: RandomKey): readonly EncodedExample[] {
  const examples = [...new Set(steps.flatMap(({ microBatches }) => microBatches.flat()))];
  return examples.length <= limit ? examples : new RandomStream(key).shuffle(examples).slice(0, limit);
}
