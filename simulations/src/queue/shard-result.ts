import type { TrainResult } from "@fedlora/client-sdk";
import {
  FedLoraError,
  isErrorCode,
  readSafetensors,
  toStateDict,
  writeSafetensors,
  type EvaluationCounts,
  type StateDict,
  type Tensor,
} from "@fedlora/core";
import { z } from "zod";
import { readNumbers, writeNumbers } from "./exact-json.js";

/** What came of one request of a shard. */
export type Outcome =
  | { readonly kind: "trained"; readonly result: TrainResult }
  | { readonly kind: "evaluated"; readonly counts: EvaluationCounts }
  | { readonly kind: "failed"; readonly error: FedLoraError };

/** Any number: whether it may be one that is not finite, the receiving side decides as for every client. */
const number = z.custom<number>((value) => typeof value === "number");
const countsSchema = z.strictObject({ count: number, lossSum: number, confusion: z.array(number) });

const outcomeSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("trained"),
    metrics: z.strictObject({
      numExamples: number,
      numSteps: number,
      trainLoss: number.optional(),
      evaluation: countsSchema.optional(),
      receivedLoss: number.optional(),
    }),
    hasOptimizerState: z.boolean(),
    /** Of DP-SGD: the owner's own account, which the owner's side checks. */
    privacy: z.custom<TrainResult["privacy"]>((value) => typeof value === "object").optional(),
  }),
  z.strictObject({ kind: z.literal("evaluated"), counts: countsSchema }),
  z.strictObject({ kind: z.literal("failed"), code: z.string(), message: z.string() }),
]);

const resultSchema = z.strictObject({
  format: z.literal("fedlora-shard-result/1"),
  shard: z.string(),
  engine: z.string(),
  outcomes: z.array(outcomeSchema),
});

const metadataKey = "fedlora-shard-result";

/**
 * All outcomes of a shard as one safetensors file. Nothing of the machine is in it (no times, no name), so a shard that is
 * done twice gives the same bytes twice.
 */
export function writeShardResult(shard: string, engine: string, outcomes: readonly Outcome[]): Uint8Array {
  const tensors: [string, Tensor][] = [];
  const add = (prefix: string, state: StateDict): void => {
    for (const [name, tensor] of state) tensors.push([`${prefix}${name}`, tensor]);
  };
  const sent = outcomes.map((outcome, index) => {
    if (outcome.kind === "evaluated") return outcome;
    if (outcome.kind === "failed") {
      return { kind: "failed", code: outcome.error.code, message: outcome.error.message };
    }
    const { trained, metrics, optimizerState, privacy } = outcome.result;
    add(`${index}/trained/`, trained);
    if (optimizerState !== undefined) add(`${index}/optimizer/`, optimizerState);
    const { numExamples, numSteps, trainLoss, evaluation, receivedLoss } = metrics;
    return {
      kind: "trained",
      metrics: { numExamples, numSteps, trainLoss, evaluation, receivedLoss },
      hasOptimizerState: optimizerState !== undefined,
      ...(privacy && { privacy }),
    };
  });
  const json = writeNumbers({ format: "fedlora-shard-result/1", shard, engine, outcomes: sent });
  return writeSafetensors(toStateDict(tensors), { metadata: { [metadataKey]: json } });
}

/**
 * Outcomes in the order of the shard's requests; times are zero, since those of virtual clients are their devices'.
 *
 * @throws FedLoraError `safetensors-invalid`, `request-invalid`
 */
export function readShardResult(
  bytes: Uint8Array,
  shard: string,
  numRequests: number,
): { readonly engine: string; readonly outcomes: readonly Outcome[] } {
  const { tensors, metadata } = readSafetensors(bytes);
  const parsed = resultSchema.safeParse(jsonOf(metadata.get(metadataKey) ?? ""));
  if (!parsed.success) throw invalid(shard, parsed.error.issues[0]?.message ?? "malformed");
  const { engine, outcomes } = parsed.data;
  if (parsed.data.shard !== shard) throw invalid(shard, `it is of shard ${parsed.data.shard.slice(0, 12)}`);
  if (outcomes.length !== numRequests) throw invalid(shard, `${outcomes.length} outcomes of ${numRequests} requests`);
  const byPlace = new Map<string, [string, Tensor][]>();
  for (const [key, tensor] of tensors) {
    const [index = "", part = ""] = key.split("/", 2);
    const place = `${index}/${part}/`;
    const list = byPlace.get(place) ?? [];
    list.push([key.slice(place.length), tensor]);
    byPlace.set(place, list);
  }
  const stateAt = (place: string): StateDict => toStateDict(byPlace.get(place) ?? []);
  return {
    engine,
    outcomes: outcomes.map((outcome, index): Outcome => {
      if (outcome.kind === "evaluated") return outcome;
      if (outcome.kind === "failed") {
        const code = isErrorCode(outcome.code) ? outcome.code : "internal";
        return { kind: "failed", error: new FedLoraError(code, outcome.message) };
      }
      const { numExamples, numSteps, trainLoss, evaluation, receivedLoss } = outcome.metrics;
      const metrics = {
        ...{ numExamples, numSteps, trainLoss, evaluation, trainMs: 0 },
        ...(receivedLoss !== undefined && { receivedLoss }),
      };
      const optimizerState = outcome.hasOptimizerState ? stateAt(`${index}/optimizer/`) : undefined;
      const { privacy } = outcome;
      const trained = stateAt(`${index}/trained/`);
      return { kind: "trained", result: { trained, metrics, optimizerState, stepMs: 0, ...(privacy && { privacy }) } };
    }),
  };
}

function jsonOf(text: string): unknown {
  try {
    return readNumbers(text);
  } catch {
    return undefined;
  }
}

function invalid(shard: string, problem: string): FedLoraError {
  return new FedLoraError("request-invalid", `result of shard ${shard.slice(0, 12)}: ${problem}`);
}
