import fc from "fast-check";
import { expect, test } from "vitest";
import { PersistentMap } from "./persistent-map.js";

test("a map after any changes holds what a plain one does, and the ones before stay as they were", () => {
  const change = fc.tuple(fc.string({ maxLength: 2 }), fc.integer());
  fc.assert(
    fc.property(fc.array(change), fc.array(change), (first, second) => {
      const plain = new Map(first);
      const start = PersistentMap.of(first);

      const after = second.reduce((map, [key, value]) => map.with(key, value), start);

      expect(new Map(start.entries())).toEqual(plain);
      const expected = new Map([...first, ...second]);
      expect(new Map(after.entries())).toEqual(expected);
      expect([start.size, after.size]).toEqual([plain.size, expected.size]);
      for (const [key, value] of expected) expect(after.get(key)).toBe(value);
      expect(after.get("absent")).toBeUndefined();
    }),
  );
});

test("thousands of keys, some of them in one bucket, are all there, and as JSON they are an object", () => {
  const entries = Array.from({ length: 5000 }, (_, i) => [`c-${i}`, i] as const);
  const map = entries.reduce((before, [key, value]) => before.with(key, value), PersistentMap.empty<string, number>());

  expect(map.size).toBe(5000);
  expect(JSON.parse(JSON.stringify(map))).toEqual(Object.fromEntries(entries));
});
