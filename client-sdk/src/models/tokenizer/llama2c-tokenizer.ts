import { FedLoraError } from "@fedlora/core";
import { type EncodeOptions, type Tokenizer, withSpecialTokens } from "./tokenizer.js";

const bosId = 1;
const eosId = 2;
/** Ids 3 to 258 stand for the bytes 0 to 255. */
const firstByteId = 3;
const maxVocabulary = 1 << 20;
const maxCachedWords = 10_000;

/**
 * The tokenizer of llama2.c: pieces with scores, merged greedily by the best-scored adjacent pair.
 *
 * File: int32 longest piece, then for each id a float32 score, an int32 length and the piece's bytes, little-endian.
 * Source: `tokenizer.bin` and `encode` of run.c, github.com/karpathy/llama2.c.
 *
 * @throws FedLoraError `file-invalid` where the file does not hold exactly `vocabularySize` pieces.
 */
export function createLlama2cTokenizer(file: Uint8Array, vocabularySize: number, path: string): Tokenizer {
  const { pieces, scores } = readVocabulary(file, vocabularySize, path);
  const idOfPiece = new Map(pieces.map((piece, id) => [piece, id]));
  const byteOfId = new Map<number, number>();
  pieces.forEach((piece, id) => {
    const hex = /^<0x([0-9A-F]{2})>$/u.exec(piece)?.[1];
    if (hex !== undefined) byteOfId.set(id, Number.parseInt(hex, 16));
  });

  // No piece of such a vocabulary spans words (a space only begins one), so each word merges on its own: without this, a
  // text would take time by the square of its length.
  const isWordwise = pieces.every((piece) => piece.lastIndexOf(" ") <= 0);
  /** Words recur, and merging is the slow part. */
  const idsOfWord = new Map<string, readonly number[]>();

  /** Pieces are kept as one character per byte, so that a piece that is no valid UTF-8 survives. */
  function initialIds(text: string): number[] {
    const ids: number[] = [];
    for (const character of text) {
      const bytes = toByteString(character);
      const id = idOfPiece.get(bytes);
      if (id !== undefined) ids.push(id);
      else for (const byte of Buffer.from(bytes, "latin1")) ids.push(firstByteId + byte);
    }
    return ids;
  }

  function merge(text: string): readonly number[] {
    const ids = initialIds(text);
    for (;;) {
      let bestScore = Number.NEGATIVE_INFINITY;
      let bestId = -1;
      let bestIndex = -1;
      for (let index = 0; index + 1 < ids.length; index++) {
        const merged = idOfPiece.get((pieces[ids[index] ?? 0] ?? "") + (pieces[ids[index + 1] ?? 0] ?? ""));
        const score = merged === undefined ? undefined : scores[merged];
        if (merged !== undefined && score !== undefined && score > bestScore) {
          [bestScore, bestId, bestIndex] = [score, merged, index];
        }
      }
      if (bestIndex < 0) return ids;
      ids.splice(bestIndex, 2, bestId);
    }
  }

  function mergeWord(word: string): readonly number[] {
    const known = idsOfWord.get(word);
    if (known !== undefined) return known;
    const ids = merge(word);
    if (idsOfWord.size >= maxCachedWords) idsOfWord.clear();
    idsOfWord.set(word, ids);
    return ids;
  }

  function encodeContent(text: string, maxTokens: number): readonly number[] {
    if (text === "") return [];
    if (!isWordwise) return merge(` ${text}`);
    const ids: number[] = [];
    for (const [word] of ` ${text}`.matchAll(/ [^ ]*/gu)) {
      ids.push(...mergeWord(word));
      if (ids.length >= maxTokens) break;
    }
    return ids;
  }

  return {
    padTokenId: 0,
    bosTokenId: bosId,
    eosTokenId: eosId,
    encode(text: string, options: EncodeOptions = {}): number[] {
      const maxTokens = options.maxTokens ?? Number.POSITIVE_INFINITY;
      return withSpecialTokens(
        encodeContent(text, maxTokens),
        options.specialTokens === false ? [] : [bosId],
        [],
        maxTokens,
      );
    },
    decode(ids: readonly number[]): string {
      const content = ids.filter((id) => id > eosId);
      const parts = content.map((id, index) => {
        const byte = byteOfId.get(id);
        if (byte !== undefined) return Buffer.from([byte]);
        const piece = pieces[id] ?? "";
        return Buffer.from(index === 0 && piece.startsWith(" ") ? piece.slice(1) : piece, "latin1");
      });
      return Buffer.concat(parts).toString("utf8");
    },
  };
}

function readVocabulary(file: Uint8Array, size: number, path: string): { pieces: string[]; scores: number[] } {
  const invalid = (why: string): FedLoraError => new FedLoraError("file-invalid", `${path}: ${why}`);
  if (size > maxVocabulary) throw invalid(`a vocabulary of ${size} pieces; at most ${maxVocabulary} are allowed`);
  const buffer = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const pieces: string[] = [];
  const scores: number[] = [];
  let offset = 4;
  for (let id = 0; id < size; id++) {
    if (offset + 8 > buffer.length) throw invalid(`it ends within piece ${id} of ${size}`);
    const length = buffer.readInt32LE(offset + 4);
    if (length < 0 || offset + 8 + length > buffer.length) throw invalid(`piece ${id} has a length of ${length} bytes`);
    scores.push(buffer.readFloatLE(offset));
    pieces.push(buffer.toString("latin1", offset + 8, offset + 8 + length));
    offset += 8 + length;
  }
  if (offset !== buffer.length) throw invalid(`${buffer.length - offset} bytes follow its ${size} pieces`);
  return { pieces, scores };
}

const toByteString = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
