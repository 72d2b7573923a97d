import { afterAll, beforeAll, expect, test, vi } from "vitest";

// A bound's cost is that of its lattices, which are as large as their transforms.
const sizes: number[] = [];
let createPldAccountant: typeof import("./pld-accountant.js").createPldAccountant;
beforeAll(async () => {
  vi.resetModules();
  vi.doMock("../math/fft.js", async (importOriginal) => {
    const actual = await importOriginal<typeof import("../math/fft.js")>();
    const createFft = (size: number): unknown => {
      sizes.push(size);
      return actual.createFft(size);
    };
    return { ...actual, createFft };
  });
  ({ createPldAccountant } = await import("./pld-accountant.js"));
});
afterAll(() => {
  vi.doUnmock("../math/fft.js");
  vi.resetModules();
});

test.each([
  // One lattice of 2^12 points for each direction, where that is near enough.
  [0.2, 1, 100, 1e-5, 1e-2, 13, [12, 12]],
  // Otherwise its gap tells how fine the second must be. For adding a unit a rough one shows that removing costs more.
  [0.5, 3, 50, 1e-7, 1e-5, 17, [12, 14, 12]],
  [0.01, 1, 500, 1e-5, 1e-3, 15, [12, 14, 12]],
  // Adding loses at most -120 ln(1 - 0.01) = 1.2, less than removing: no lattice at all.
  [0.01, 0.35, 120, 1e-5, 1e-3, 15, [12, 13]],
  [0.9, 0.05, 100, 1e-5, 1e-3, 15, [12, 14]],
  // The largest lattice is the last, near enough or not.
  [0.01, 1, 10_000, 1e-5, 1e-5, 13, [12, 13, 12]],
  [0.01, 1, 100_000, 1e-5, 1e-5, 13, [12, 13, 12, 13]],
  // Losses so rare that tables of 2^12 and 2^14 points would be too large are left to lattices four times as fine.
  [1e-7, 1, 1, 1e-7, 1e-5, 17, [16, 14]],
  // An epsilon of 0 by Renyi divergences needs none.
  [0.5, 1e100, 10, 1e-5, 1e-5, 17, []],
] as const)(
  "rate %d, noise %d, %d steps at delta %d: to %d, with at most 2^%d points, takes lattices of 2^%j",
  (samplingRate, noiseMultiplier, count, delta, tolerance, mostPower, powers) => {
    sizes.length = 0;
    const accountant = createPldAccountant({ tolerance, maxPoints: 2 ** mostPower });

    accountant.epsilon([{ mechanism: { kind: "sampled-gaussian", samplingRate, noiseMultiplier }, count }], delta);

    expect(sizes.map(Math.log2)).toEqual(powers);
  },
);
