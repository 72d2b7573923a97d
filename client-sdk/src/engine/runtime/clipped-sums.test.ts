import fc from "fast-check";
import { expect, test } from "vitest";
import type { ExampleClipping } from "../engine.js";
import { ClippedSums } from "./clipped-sums.js";

const kinds = ["flat", "per-layer", "automatic"] as const;
const names = ["x.q.lora_A.weight", "x.q.lora_B.weight", "x.classifier.bias"];
const sizes = new Map([
  [names[0]!, 3],
  [names[1]!, 2],
  [names[2]!, 1],
]);

type Example = readonly number[];

/** The sum of a batch, the noise too small to see. */
function sumOf(batches: readonly (readonly Example[])[], clipping: ExampleClipping): number[] {
  const sums = new ClippedSums(sizes);
  for (const batch of batches) {
    let from = 0;
    const gradients = new Map<string, Float32Array>();
    for (const [name, size] of sizes) {
      const own = batch.flatMap((example) => example.slice(from, from + size));
      gradients.set(name, Float32Array.from(own));
      from += size;
    }
    sums.add(gradients, batch.length, clipping);
  }
  const released = new Map([...sizes].map(([name, size]) => [name, new Float32Array(size)]));
  sums.release(released, { key: new Uint8Array(32), std: 1e-12, divisor: 1 });
  return [...released.values()].flatMap((values) => [...values]);
}

const exampleArbitrary = fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 6, maxLength: 6 });
const clippingArbitrary = fc.record({
  kind: fc.constantFrom(...kinds),
  clipNorm: fc.double({ min: 0.01, max: 50, noNaN: true }),
});

test("whatever an example's gradient is, it moves the sum by at most the clip norm", () => {
  fc.assert(
    fc.property(exampleArbitrary, clippingArbitrary, (example, clipping) => {
      const norm = Math.hypot(...sumOf([[example]], clipping));

      expect(norm).toBeLessThanOrEqual(clipping.clipNorm * (1 + 1e-6) + 1e-10);
    }),
  );
});

test("a logical batch cut into pieces has the sum of the whole, and padding adds nothing", () => {
  fc.assert(
    fc.property(fc.array(exampleArbitrary, { minLength: 2, maxLength: 8 }), clippingArbitrary, (batch, clipping) => {
      const padding = new Array<number>(6).fill(0);

      const whole = sumOf([batch], clipping);
      const cut = sumOf([batch.slice(0, 1), [...batch.slice(1), padding, padding]], clipping);

      whole.forEach((value, i) => expect(cut[i]).toBeCloseTo(value, 5));
    }),
  );
});

test("flat clipping scales what is too long, per module what is too long there, automatic everything", () => {
  // Module norms 5 and 12, together 13.
  const example = [3, 0, 0, 4, 0, 12];
  const shown = (kind: (typeof kinds)[number], clipNorm: number): number[] =>
    sumOf([[example]], { kind, clipNorm }).map((value) => Number(value.toFixed(4)) + 0);

  expect(shown("flat", 20)).toEqual(example);
  expect(shown("flat", 6.5)).toEqual([1.5, 0, 0, 2, 0, 6]);
  // A bound of 8 each: only the second module is too long.
  expect(shown("per-layer", 8 * Math.SQRT2)).toEqual([3, 0, 0, 4, 0, 8]);
  expect(shown("automatic", 26.02)).toEqual([6, 0, 0, 8, 0, 24]);
});

test.each(kinds)("%s: an example whose gradient is not finite counts as zero, in all its modules", (kind) => {
  const clipping = { kind, clipNorm: 1 };
  const sound = [1, 2, 3, 4, 5, 6];

  for (const bad of [Number.NaN, Infinity]) {
    expect(sumOf([[[bad, bad, bad, 1, 1, 1], sound]], clipping)).toEqual(sumOf([[sound]], clipping));
  }
});
