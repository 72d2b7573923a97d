import { deriveKey, orthonormalizeRows, RandomStream, type RandomKey } from "@fedlora/core";

/** How many made-up occurrences of the unigram distribution join each token's successors. */
const smoothing = 16;
/** Of the subspace iteration; the spectrum falls quickly. */
const iterations = 8;

export interface TokenTables {
  /** [vocabulary, width], row-major: what a token is on its way in, about 1 in every element. */
  readonly embedding: Float32Array<ArrayBuffer>;
  /** [vocabulary, width], row-major: embedding times its transpose is about the logarithm of P(next | token). */
  readonly head: Float32Array<ArrayBuffer>;
}

/**
 * Embedding and output matrix of a decoder that cannot train them: the best factors of the table of logarithms of
 * P(next token | token), each token weighing as much as it is frequent. So the decoder without its layers is a bigram model
 * already. Logarithms of co-occurrences, factored, are what trained embeddings come to (Levy and Goldberg 2014).
 */
export function bigramTables(
  rows: Iterable<readonly number[]>,
  size: { readonly vocabulary: number; readonly width: number },
  key: RandomKey,
): TokenTables {
  const { vocabulary, width } = size;
  const { logs, frequencies } = logProbabilities(rows, vocabulary);
  // Subspace iteration (Halko et al. 2011) for the leading right singular vectors of diag(sqrt(p)) L.
  const basis = Float64Array.from(new RandomStream(deriveKey(key, "bigram-tables")).normals(width * vocabulary, 1));
  const projected = new Float64Array(width * vocabulary);
  for (let pass = 0; pass < iterations; pass += 1) {
    orthonormalizeRows(basis, width, vocabulary);
    project(logs, basis, projected, vocabulary);
    basis.fill(0);
    for (let row = 0; row < width; row += 1) {
      const target = basis.subarray(row * vocabulary, (row + 1) * vocabulary);
      for (let token = 0; token < vocabulary; token += 1) {
        const factor = (projected[row * vocabulary + token] ?? 0) * (frequencies[token] ?? 0);
        const source = logs.subarray(token * vocabulary, (token + 1) * vocabulary);
        for (let next = 0; next < vocabulary; next += 1)
          target[next] = (target[next] ?? 0) + factor * (source[next] ?? 0);
      }
    }
  }
  orthonormalizeRows(basis, width, vocabulary);
  project(logs, basis, projected, vocabulary);
  const embedding = new Float32Array(vocabulary * width);
  const head = new Float32Array(vocabulary * width);
  for (let row = 0; row < width; row += 1) {
    const at = row * vocabulary;
    // Its size where text is, so that every direction of the embedding is as loud as the others.
    let power = 0;
    for (let token = 0; token < vocabulary; token += 1)
      power += (frequencies[token] ?? 0) * (projected[at + token] ?? 0) ** 2;
    const scale = Math.sqrt(power) || 1;
    for (let token = 0; token < vocabulary; token += 1) {
      embedding[token * width + row] = (projected[at + token] ?? 0) / scale;
      head[token * width + row] = (basis[at + token] ?? 0) * scale;
    }
  }
  return { embedding, head };
}

/** into [width, vocabulary] = basis L^T. */
function project(logs: Float64Array, basis: Float64Array, into: Float64Array, vocabulary: number): void {
  for (let at = 0; at < into.length; at += 1) {
    const row = Math.floor(at / vocabulary);
    const token = at % vocabulary;
    let sum = 0;
    for (let next = 0; next < vocabulary; next += 1) {
      sum += (logs[token * vocabulary + next] ?? 0) * (basis[row * vocabulary + next] ?? 0);
    }
    into[at] = sum;
  }
}

/** Logarithms of P(next | token) less their mean over the next, which no softmax sees, and P(token). */
function logProbabilities(
  rows: Iterable<readonly number[]>,
  vocabulary: number,
): { readonly logs: Float64Array; readonly frequencies: Float64Array } {
  const pairs = new Float64Array(vocabulary * vocabulary);
  const before = new Float64Array(vocabulary);
  // One of each, so that no token is impossible.
  const frequencies = new Float64Array(vocabulary).fill(1);
  for (const row of rows) {
    for (let index = 0; index < row.length; index += 1) {
      const token = row[index] ?? 0;
      frequencies[token] = (frequencies[token] ?? 0) + 1;
      if (index + 1 === row.length) continue;
      const at = token * vocabulary + (row[index + 1] ?? 0);
      pairs[at] = (pairs[at] ?? 0) + 1;
      before[token] = (before[token] ?? 0) + 1;
    }
  }
  const total = frequencies.reduce((sum, count) => sum + count, 0);
  for (let token = 0; token < vocabulary; token += 1) frequencies[token] = (frequencies[token] ?? 0) / total;
  for (let token = 0; token < vocabulary; token += 1) {
    const logs = pairs.subarray(token * vocabulary, (token + 1) * vocabulary);
    let mean = 0;
    for (let next = 0; next < vocabulary; next += 1) {
      const count = (logs[next] ?? 0) + smoothing * (frequencies[next] ?? 0);
      logs[next] = Math.log(count / ((before[token] ?? 0) + smoothing));
      mean += (logs[next] ?? 0) / vocabulary;
    }
    for (let next = 0; next < vocabulary; next += 1) logs[next] = (logs[next] ?? 0) - mean;
  }
  return { logs: pairs, frequencies };
}
