import fc from "fast-check";
import { expect, test } from "vitest";
import { RandomStream, randomKey } from "./random.js";
import { createFft, partnerOf } from "./fft.js";

const draw = (size: number, seed: number): Float64Array => {
  const stream = new RandomStream(randomKey(seed));
  return Float64Array.from({ length: size }, () => stream.normal());
};
/** Where `forward` leaves frequency w. */
const bitReversed = (w: number, size: number): number => {
  let index = 0;
  for (let bit = 1, from = size / 2; bit < size; bit *= 2, from /= 2) if (w & bit) index += from;
  return index;
};

test.each([2, 4, 8, 64])("the definition, for %d points", (size) => {
  const [x, y] = [draw(size, 1), draw(size, 2)];
  const [re, im] = [x.slice(), y.slice()];
  createFft(size).forward(re, im);
  for (let w = 0; w < size; w += 1) {
    let [sumRe, sumIm] = [0, 0];
    for (let t = 0; t < size; t += 1) {
      const angle = (-2 * Math.PI * w * t) / size;
      sumRe += x[t]! * Math.cos(angle) - y[t]! * Math.sin(angle);
      sumIm += x[t]! * Math.sin(angle) + y[t]! * Math.cos(angle);
    }
    expect(re[bitReversed(w, size)]).toBeCloseTo(sumRe, 10);
    expect(im[bitReversed(w, size)]).toBeCloseTo(sumIm, 10);
  }
});

test("the inverse brings back what went in", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 1000 }), (log, seed) => {
      const size = 2 ** log;
      const fft = createFft(size);
      const [re, im] = [draw(size, seed), draw(size, seed + 1)];
      const [x, y] = [re.slice(), im.slice()];
      fft.forward(re, im);
      fft.inverse(re, im);
      for (let i = 0; i < size; i += 1) {
        expect(Math.abs(re[i]! - x[i]!)).toBeLessThan(1e-14 * log);
        expect(Math.abs(im[i]! - y[i]!)).toBeLessThan(1e-14 * log);
      }
    }),
    { numRuns: 20 },
  );
});

test.each([2, 8, 64])("the partner of a frequency of %d is its opposite", (size) => {
  for (let w = 0; w < size; w += 1) {
    expect(partnerOf(bitReversed(w, size))).toBe(bitReversed((size - w) % size, size));
  }
});
