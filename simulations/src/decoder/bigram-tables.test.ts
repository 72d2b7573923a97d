import { randomKey } from "@fedlora/core";
import { expect, test } from "vitest";
import { bigramTables } from "./bigram-tables.js";

const rows = [
  [1, 2, 3, 1, 2, 3, 1, 2],
  [3, 2, 1, 0, 3, 2, 1],
];
const vocabulary = 4;

/** softmax(embedding head^T), row by row. */
function predictions(width: number): number[][] {
  const { embedding, head } = bigramTables(rows, { vocabulary, width }, randomKey(3));
  return Array.from({ length: vocabulary }, (_, token) => {
    const logits = Array.from({ length: vocabulary }, (_, next) =>
      Array.from({ length: width }, (_, i) => embedding[token * width + i]! * head[next * width + i]!).reduce(
        (a, b) => a + b,
      ),
    );
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    return logits.map((logit) => Math.exp(logit) / total);
  });
}

test("at full width the tables are the smoothed bigram model itself", () => {
  const seen = [0, 1, 2, 3].map((token) => 1 + rows.flat().filter((each) => each === token).length);
  const total = seen.reduce((sum, count) => sum + count, 0);
  const expected = seen.map((_, token) => {
    const next = rows.flatMap((row) => row.slice(1).filter((_, index) => row[index] === token));
    return seen.map((count, other) => {
      const pairs = next.filter((each) => each === other).length;
      return (pairs + (16 * count) / total) / (next.length + 16);
    });
  });
  // One direction is lost to the mean that no softmax sees.
  predictions(3).forEach((row, token) =>
    row.forEach((prob, next) => expect(prob).toBeCloseTo(expected[token]![next]!, 5)),
  );
});

test("every direction of the embedding is as loud as the others where text is", () => {
  const width = 2;
  const { embedding } = bigramTables(rows, { vocabulary, width }, randomKey(3));
  const seen = [0, 1, 2, 3].map((token) => 1 + rows.flat().filter((each) => each === token).length);
  const total = seen.reduce((sum, count) => sum + count, 0);
  for (let column = 0; column < width; column += 1) {
    const power = seen.reduce(
      (sum, count, token) => sum + (count / total) * embedding[token * width + column]! ** 2,
      0,
    );
    expect(power).toBeCloseTo(1, 5);
  }
});
