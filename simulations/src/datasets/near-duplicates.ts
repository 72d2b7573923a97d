export interface NearDuplicateOptions {
  /** Words of each text that are compared; default 100: what a model with a short context sees. */
  readonly words?: number;
  /** Jaccard similarity of word 3-grams from which two texts are twins; in (0, 1], default 0.6. */
  readonly similarity?: number;
}

const bands = 32;
const rowsPerBand = 3;

/**
 * Indices of texts to keep: of every group of near-twins the first. Candidates come from MinHash with banding (32 bands of
 * 3 rows find a pair at similarity 0.6 with probability above 0.999), each candidate is then compared exactly.
 * Source: Broder, On the resemblance and containment of documents (1997).
 */
export function withoutNearDuplicates(texts: readonly string[], options: NearDuplicateOptions = {}): number[] {
  const words = options.words ?? 100;
  const threshold = options.similarity ?? 0.6;
  const buckets = new Map<string, number[]>();
  const shingled: Set<number>[] = [];
  const kept: number[] = [];
  texts.forEach((text, index) => {
    const shingles = shingleHashes(text, words);
    shingled.push(shingles);
    const keys = bandKeys(shingles);
    const candidates = new Set(keys.flatMap((key) => buckets.get(key) ?? []));
    for (const candidate of candidates) {
      const other = shingled[candidate];
      if (other !== undefined && jaccard(shingles, other) >= threshold) return;
    }
    kept.push(index);
    for (const key of keys) {
      const bucket = buckets.get(key);
      if (bucket === undefined) buckets.set(key, [index]);
      else bucket.push(index);
    }
  });
  return kept;
}

function shingleHashes(text: string, maxWords: number): Set<number> {
  const words = (text.toLowerCase().match(/\p{L}+/gu) ?? []).slice(0, maxWords);
  const shingles = new Set<number>();
  for (let start = 0; start < Math.max(1, words.length - 2); start++) {
    shingles.add(hash32(words.slice(start, start + 3).join(" ")));
  }
  return shingles;
}

/** FNV-1a over UTF-16 code units. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

function bandKeys(shingles: ReadonlySet<number>): string[] {
  const keys: string[] = [];
  for (let band = 0; band < bands; band++) {
    const rows: number[] = [];
    for (let row = 0; row < rowsPerBand; row++) {
      const salt = band * rowsPerBand + row + 1;
      let least = 0xffffffff;
      for (const shingle of shingles) least = Math.min(least, mix(shingle, salt));
      rows.push(least);
    }
    keys.push(`${band}:${rows.join(",")}`);
  }
  return keys;
}

/** One round of a 32-bit finaliser (MurmurHash3's), keyed by the salt. */
function mix(value: number, salt: number): number {
  let h = Math.imul(value ^ Math.imul(salt, 0x9e3779b1), 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function jaccard(a: ReadonlySet<number>, b: ReadonlySet<number>): number {
  let shared = 0;
  for (const value of a) if (b.has(value)) shared++;
  return shared / (a.size + b.size - shared);
}
