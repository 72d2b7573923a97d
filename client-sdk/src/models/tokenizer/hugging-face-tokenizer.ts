import { FedLoraError } from "@fedlora/core";
import * as library from "@huggingface/tokenizers";
import { z } from "zod";
import { createLibraryRepairs } from "./library-repairs.js";
import { type EncodeOptions, type Tokenizer, withSpecialTokens } from "./tokenizer.js";

/** Pre-tokenizers that never join text across white space, so that a prefix of the text gives a prefix of the ids. */
const wordwisePreTokenizers = new Set(["BertPreTokenizer", "ByteLevel", "Whitespace", "WhitespaceSplit"]);
/** No text of a language needs more characters than this per token; a longer prefix is tried when it falls short. */
const charactersPerToken = 12;

/** What is used of the library; its own declarations name files in a way that Node's module resolution does not find. */
interface LibraryTokenizer {
  encode(text: string, options?: { readonly add_special_tokens: boolean }): { readonly ids: (number | undefined)[] };
  decode(
    ids: number[],
    options: { readonly skip_special_tokens: boolean; readonly clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
}
const { Tokenizer: LibraryTokenizer } = library as unknown as {
  Tokenizer: new (tokenizer: object, config: object) => LibraryTokenizer;
};

const tokenName = z.union([z.string(), z.looseObject({ content: z.string() }).transform((token) => token.content)]);

/** The part of tokenizer_config.json that fedlora reads itself; the library gets the whole file. */
const tokenizerConfigSchema = z.looseObject({
  pad_token: tokenName.nullish(),
  bos_token: tokenName.nullish(),
  eos_token: tokenName.nullish(),
  clean_up_tokenization_spaces: z.boolean().nullish(),
});

/** The part of tokenizer.json that fedlora reads itself. */
const tokenizerFileSchema = z.looseObject({
  model: z.looseObject({}),
  added_tokens: z.array(z.looseObject({ id: z.int().min(0), content: z.string() })).default([]),
  pre_tokenizer: z.looseObject({ type: z.string() }).nullish(),
  padding: z.looseObject({ pad_id: z.int().min(0) }).nullish(),
});

/** config.json's ids, for folders without a tokenizer_config.json. */
const modelConfigSchema = z.looseObject({
  pad_token_id: z.int().min(0).nullish(),
  bos_token_id: z.int().min(0).nullish(),
  eos_token_id: z.union([z.int().min(0), z.array(z.int().min(0)).min(1)]).nullish(),
});

export interface HuggingFaceTokenizerFiles {
  /** tokenizer.json as a value. */
  readonly tokenizer: unknown;
  /** tokenizer_config.json as a value, or undefined where the folder has none. */
  readonly tokenizerConfig: unknown;
  /** config.json as a value. */
  readonly modelConfig: unknown;
  /** For messages. */
  readonly path: string;
}

/**
 * A tokenizer from Hugging Face's tokenizer.json. Truncation and padding of the file are ignored: the caller decides.
 *
 * @throws FedLoraError `file-invalid` where the file is not one that the library understands.
 */
export function createHuggingFaceTokenizer(files: HuggingFaceTokenizerFiles): Tokenizer {
  const invalid = (why: string, cause?: unknown): FedLoraError =>
    new FedLoraError("file-invalid", `${files.path}: ${why}`, cause === undefined ? {} : { cause });
  const file = tokenizerFileSchema.safeParse(files.tokenizer);
  if (!file.success) throw invalid(`not a tokenizer.json: ${z.prettifyError(file.error)}`);
  const config = tokenizerConfigSchema.safeParse(files.tokenizerConfig ?? {});
  if (!config.success) throw invalid(`tokenizer_config.json beside it: ${z.prettifyError(config.error)}`);
  const modelConfig = modelConfigSchema.safeParse(files.modelConfig);
  const ids = modelConfig.success ? modelConfig.data : {};

  let tokenizer: LibraryTokenizer;
  try {
    tokenizer = new LibraryTokenizer({ ...file.data, ...optionalParts(file.data) }, config.data);
  } catch (cause) {
    throw invalid(`the tokenizer cannot be built: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  const idOf = (name: string | null | undefined): number | undefined =>
    name === null || name === undefined ? undefined : tokenizer.token_to_id(name);
  const eosFromConfig = Array.isArray(ids.eos_token_id) ? ids.eos_token_id[0] : ids.eos_token_id;
  const isWordwise =
    wordwisePreTokenizers.has(file.data.pre_tokenizer?.type ?? "") &&
    file.data.added_tokens.every((token) => !/\s/u.test(token.content));
  const specials = findSpecialTokens(tokenizer);
  const repair = createLibraryRepairs(file.data["normalizer"]);

  function encodeContent(text: string, maxTokens: number): number[] {
    if (!isWordwise) return encodeWhole(text);
    for (let length = Math.max(256, maxTokens * charactersPerToken); length < text.length; length *= 4) {
      const end = wordEndBefore(text, length);
      if (end === 0) break;
      const content = encodeWhole(text.slice(0, end));
      if (content.length >= maxTokens) return content;
    }
    return encodeWhole(text);
  }

  function encodeWhole(text: string): number[] {
    return tokenizer.encode(repair(text), { add_special_tokens: false }).ids.map((id, index) => {
      if (id === undefined) throw invalid(`no id for token ${index} of a text, and no unknown token`);
      return id;
    });
  }

  return {
    padTokenId: idOf(config.data.pad_token) ?? file.data.padding?.pad_id ?? ids.pad_token_id ?? 0,
    bosTokenId: idOf(config.data.bos_token) ?? ids.bos_token_id ?? undefined,
    eosTokenId: idOf(config.data.eos_token) ?? eosFromConfig ?? undefined,
    encode(text: string, options: EncodeOptions = {}): number[] {
      const maxTokens = options.maxTokens ?? Number.POSITIVE_INFINITY;
      const content = encodeContent(text, maxTokens);
      return options.specialTokens === false
        ? content.slice(0, maxTokens)
        : withSpecialTokens(content, specials.prefix, specials.suffix, maxTokens);
    },
    decode(tokenIds: readonly number[]): string {
      if (tokenIds.length === 0) return "";
      return tokenizer.decode([...tokenIds], {
        skip_special_tokens: true,
        clean_up_tokenization_spaces: config.data.clean_up_tokenization_spaces ?? false,
      });
    },
  };
}

/** The library insists on keys that the Rust library treats as optional. */
function optionalParts(file: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const part = (key: string): unknown => file[key] ?? null;
  return {
    normalizer: part("normalizer"),
    pre_tokenizer: part("pre_tokenizer"),
    post_processor: part("post_processor"),
    decoder: part("decoder"),
  };
}

/** What the post-processor puts before and after a text, found by comparing one word with and without it. */
function findSpecialTokens(tokenizer: LibraryTokenizer): { readonly prefix: number[]; readonly suffix: number[] } {
  const known = (id: number | undefined): id is number => id !== undefined;
  const bare = tokenizer.encode("a", { add_special_tokens: false }).ids.filter(known);
  const full = tokenizer.encode("a").ids.filter(known);
  for (let start = 0; start + bare.length <= full.length; start++) {
    if (bare.every((id, index) => full[start + index] === id)) {
      return { prefix: full.slice(0, start), suffix: full.slice(start + bare.length) };
    }
  }
  return { prefix: [], suffix: [] };
}

/** Largest end <= `length` at which a word ends, so that no word is cut; 0 where there is none. */
function wordEndBefore(text: string, length: number): number {
  for (let end = length; end > 0; end--) {
    if (/[ \t\r\n]/u.test(text.charAt(end)) && /\S/u.test(text.charAt(end - 1))) return end;
  }
  return 0;
}
