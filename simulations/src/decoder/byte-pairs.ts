/** Words as GPT-2 splits them, which is what a ByteLevel pre-tokenizer does: a pair never spans two of these. */
const words = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const endOfText = "<|endoftext|>";

/** A character that can be seen for every byte, as GPT-2 writes them: printable ones stand for themselves. */
const characters: readonly string[] = (() => {
  const isPlain = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPlain(byte) ? byte : next++));
})();

/** A word of the text, as its pieces so far, and how often it occurs. */
interface CountedWord {
  pieces: string[];
  readonly count: number;
}

/**
 * Byte-pair encoding (Sennrich et al. 2016) on bytes: merges the most frequent pair of neighbours again and again. Of equally
 * frequent pairs the first in code-unit order goes first, so equal texts give equal merges.
 *
 * @param size tokens of the vocabulary, at least 257: the end of a text, 256 bytes and the merges
 * @returns pairs in the order of their merging; fewer than asked for where no pair occurs twice
 */
export function learnBytePairs(texts: Iterable<string>, size: number): readonly (readonly [string, string])[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(words)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const all = [...counts].map(([word, count]): CountedWord => {
    return { pieces: [...Buffer.from(word)].map((byte) => characters[byte] ?? ""), count };
  });
  const pairs = new PairCounts();
  all.forEach((word, index) => {
    pairs.add(word, index, word.count);
  });
  const merges: (readonly [string, string])[] = [];
  while (merges.length < size - 257) {
    const pair = pairs.mostFrequent();
    if (pair === undefined) break;
    merges.push(pair);
    for (const index of pairs.wordsWith(pair)) {
      const word = all[index];
      if (word === undefined) continue;
      pairs.add(word, index, -word.count);
      word.pieces = merged(word.pieces, pair);
      pairs.add(word, index, word.count);
    }
  }
  return merges;
}

/** No piece holds a space: bytes are visible characters. */
const separator = " ";

class PairCounts {
  readonly #counts = new Map<string, number>();
  /** Words that held the pair at some time. */
  readonly #words = new Map<string, Set<number>>();

  add({ pieces }: CountedWord, word: number, count: number): void {
    for (let index = 0; index + 1 < pieces.length; index += 1) {
      const pair = `${pieces[index] ?? ""}${separator}${pieces[index + 1] ?? ""}`;
      this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + count);
      if (count < 0) continue;
      const words = this.#words.get(pair);
      if (words === undefined) this.#words.set(pair, new Set([word]));
      else words.add(word);
    }
  }

  mostFrequent(): readonly [string, string] | undefined {
    let best = "";
    let most = 1;
    for (const [pair, count] of this.#counts) {
      if (count > most || (count === most && most > 1 && pair < best)) [best, most] = [pair, count];
    }
    const [left, right] = best.split(separator);
    return left === undefined || right === undefined ? undefined : [left, right];
  }

  wordsWith(pair: readonly [string, string]): readonly number[] {
    return [...(this.#words.get(pair.join(separator)) ?? [])];
  }
}

function merged(pieces: readonly string[], [left, right]: readonly [string, string]): string[] {
  const result: string[] = [];
  for (let index = 0; index < pieces.length; index += 1) {
    const isPair = pieces[index] === left && pieces[index + 1] === right;
    result.push(isPair ? left + right : (pieces[index] ?? ""));
    if (isPair) index += 1;
  }
  return result;
}

/** The vocabulary as files of a Hugging Face model folder; token 0 ends a text. */
export function tokenizerFiles(
  merges: readonly (readonly [string, string])[],
): Readonly<Record<"tokenizer.json" | "tokenizer_config.json", object>> {
  const pieces = [endOfText, ...characters, ...merges.map(([left, right]) => left + right)];
  const level = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return {
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: [{ id: 0, content: endOfText, ...special }],
      normalizer: null,
      pre_tokenizer: level,
      post_processor: null,
      decoder: level,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: "",
        end_of_word_suffix: "",
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
        merges: merges.map((pair) => pair.join(" ")),
      },
    },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      eos_token: endOfText,
      pad_token: endOfText,
      clean_up_tokenization_spaces: false,
    },
  };
}
