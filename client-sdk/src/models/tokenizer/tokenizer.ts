/** How a text is cut. */
export interface EncodeOptions {
  /** Most ids to return, special tokens included; content is cut from its end. Default: no limit. */
  readonly maxTokens?: number;
  /** Put the model's special tokens ([CLS] ... [SEP], BOS) round the text; default true. */
  readonly specialTokens?: boolean;
}

/**
 * Text to token ids and back, for one base model. Both calls are synchronous and pure; a caller with many texts yields
 * between them.
 */
export interface Tokenizer {
  /** Fills rows of a batch up to their length; its rows carry mask 0, so its value never matters to a result. */
  readonly padTokenId: number;
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
  encode(text: string, options?: EncodeOptions): number[];
  /** Text of the ids without special tokens. */
  decode(ids: readonly number[]): string;
}

/**
 * Puts special tokens round content and keeps the whole within `maxTokens`: the specials stay, the content loses its end,
 * as Hugging Face's `truncation="only_first"` does.
 */
export function withSpecialTokens(
  content: readonly number[],
  prefix: readonly number[],
  suffix: readonly number[],
  maxTokens: number,
): number[] {
  const room = Math.max(0, maxTokens - prefix.length - suffix.length);
  return [...prefix, ...content.slice(0, room), ...suffix].slice(0, maxTokens);
}
