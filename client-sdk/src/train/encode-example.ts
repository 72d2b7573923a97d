import { FedLoraError, type TaskSpec } from "@fedlora/core";
import type { Tokenizer } from "../models/tokenizer/tokenizer.js";

/** One example as ids, and what a model should make of it. */
export interface EncodedExample {
  readonly tokens: readonly number[];
  /** Classification: the label's index; language modelling: 0. */
  readonly label: number;
  /**
   * Language modelling: the first position whose token is a target (every token from there on is predicted from those
   * before it), at least 1; classification: 0.
   */
  readonly targetStart: number;
  /** What the loss is a mean over: 1 for a classification example, the number of target tokens for a text. */
  readonly numTargets: number;
}

/**
 * Turns examples into ids.
 *
 * Classification: the text with the model's special tokens, cut to `maxTokens`.
 *
 * Language modelling: a text is tokenized as it is. A prompt and its completion are tokenized as one text, as they will
 * stand when the model writes, with the end token behind the completion where it fits; with `maskPrompt` the tokens that
 * the prompt alone begins with are no targets.
 *
 * @returns encode: undefined for an example that has nothing to learn from (a text of one token, or a prompt that leaves
 *   no room)
 * @throws FedLoraError encode: `data-invalid`, naming the example by its number
 */
export function createExampleEncoder(
  task: TaskSpec,
  tokenizer: Tokenizer,
  dataName: string,
): (example: unknown, index: number) => EncodedExample | undefined {
  const { maxTokens } = task;
  const labels = task.kind === "sequence-classification" ? task.labels : [];
  const indexOfLabel = new Map(labels.map((label, index) => [label, index]));

  return (example, index) => {
    const invalid = (problem: string): FedLoraError =>
      new FedLoraError("data-invalid", `example ${index + 1} of data set "${dataName}": ${problem}`, {
        details: { example: String(index + 1), data: dataName },
      });
    if (typeof example !== "object" || example === null) throw invalid("it must be an object");
    const fields = example as Readonly<Record<string, unknown>>;
    const textOf = (field: string): string => {
      const value = fields[field];
      if (typeof value !== "string") throw invalid(`"${field}" must be a text, got ${describe(value)}`);
      return value;
    };

    if (task.kind === "sequence-classification") {
      const tokens = tokenizer.encode(textOf("text"), { maxTokens });
      return { tokens, label: labelOf(fields["label"], invalid), targetStart: 0, numTargets: 1 };
    }
    const isPrompted = "prompt" in fields || "completion" in fields;
    const tokens = isPrompted
      ? encodePair(textOf("prompt"), textOf("completion"))
      : { ids: tokenizer.encode(textOf("text"), { maxTokens }), targetStart: 1 };
    const targetStart = task.maskPrompt ? tokens.targetStart : 1;
    const numTargets = tokens.ids.length - targetStart;
    return numTargets < 1 ? undefined : { tokens: tokens.ids, label: 0, targetStart, numTargets };
  };

  function labelOf(label: unknown, invalid: (problem: string) => FedLoraError): number {
    const index = typeof label === "string" ? indexOfLabel.get(label) : label;
    if (typeof index === "number" && Number.isInteger(index) && index >= 0 && index < labels.length) return index;
    const known = labels.slice(0, 20).join(", ") + (labels.length > 20 ? ", ..." : "");
    throw invalid(`label ${describe(label)} is not one of ${known} nor an index from 0 to ${labels.length - 1}`);
  }

  function encodePair(prompt: string, completion: string): { ids: number[]; targetStart: number } {
    const ids = tokenizer.encode(prompt + completion, { maxTokens });
    if (tokenizer.eosTokenId !== undefined && ids.length < maxTokens && ids.at(-1) !== tokenizer.eosTokenId) {
      ids.push(tokenizer.eosTokenId);
    }
    // A token may span the seam; it belongs to the completion then, since the prompt alone does not give it.
    const promptIds = tokenizer.encode(prompt, { maxTokens });
    let shared = 0;
    while (shared < promptIds.length && promptIds[shared] === ids[shared]) shared++;
    return { ids, targetStart: Math.max(1, shared) };
  }
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  return value === undefined || value === null || typeof value === "number" ? String(value) : typeof value;
}
