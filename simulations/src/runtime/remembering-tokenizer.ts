import type { Tokenizer } from "@fedlora/client-sdk";

/** Texts whose tokens are remembered; beyond that all are forgotten. */
const maxTexts = 100_000;

/** The tokens of a text, made once: virtual clients read the same texts round after round, and splitting them is slow. */
export function rememberingTokenizer(tokenizer: Tokenizer): Tokenizer {
  const known = new Map<string, readonly number[]>();
  return {
    padTokenId: tokenizer.padTokenId,
    bosTokenId: tokenizer.bosTokenId,
    eosTokenId: tokenizer.eosTokenId,
    encode(text, options = {}) {
      const { maxTokens = "all", specialTokens = true } = options;
      const key = `${maxTokens} ${specialTokens} ${text}`;
      let ids = known.get(key);
      if (ids === undefined) {
        ids = tokenizer.encode(text, options);
        if (known.size >= maxTexts) known.clear();
        known.set(key, ids);
      }
      return [...ids];
    },
    decode: (ids) => tokenizer.decode(ids),
  };
}
