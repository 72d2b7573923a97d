import fc from "fast-check";
import { expect, test } from "vitest";
import { bucketFor, chooseBuckets, lengthLadder } from "./length-buckets.js";

test("the ladder doubles from 32 and ends with the longest length", () => {
  expect(lengthLadder(256)).toEqual([32, 64, 128, 256]);
  expect(lengthLadder(100)).toEqual([32, 64, 100]);
  expect(lengthLadder(32)).toEqual([32]);
  expect(lengthLadder(5)).toEqual([5]);
});

test("only lengths that are needed are chosen", () => {
  expect(chooseBuckets([10, 200, 12], lengthLadder(512), 3)).toEqual([32, 256]);
});

test("too many lengths are merged where that costs least padding", () => {
  // 32 -> 64 costs 10 x 32 tokens, 64 -> 128 costs 1 x 64, 128 -> 256 costs 1 x 128.
  const needed = [...Array.from({ length: 10 }, () => 30), 60, 120, 250];

  expect(chooseBuckets(needed, lengthLadder(256), 3)).toEqual([32, 128, 256]);
  // The merged bucket of two counts twice: to 256 costs 2 x 128, still less than 10 x 96.
  expect(chooseBuckets(needed, lengthLadder(256), 2)).toEqual([32, 256]);
});

test("every batch fits a bucket, of which there are few, and none is longer than it must be", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 4 }), (needed, most) => {
      const ladder = lengthLadder(700);
      const buckets = chooseBuckets(needed, ladder, most);
      expect(buckets.length).toBeLessThanOrEqual(most);
      expect(buckets).toEqual([...buckets].sort((a, b) => a - b));
      for (const length of needed) expect(bucketFor(length, buckets)).toBeGreaterThanOrEqual(length);
      expect(buckets.at(-1)).toBe(bucketFor(Math.max(...needed), ladder));
    }),
  );
});
