import fc from "fast-check";
import { expect, test } from "vitest";

import { chooseDepths, meanWait } from "./choose-depths.js";
import type { DepthRules, DeviceTimes } from "./choose-depths.js";

const layers = 8;
const anyDevice = fc.record({
  // Whole numbers from a small range, so that ties are common.
  forwardMs: fc.integer({ min: 0, max: 30 }),
  layerMs: fc.integer({ min: 0, max: 6 }),
  maxDepth: fc.integer({ min: 1, max: layers }),
});
const timesOf = (forwardMs: number, layerMs: number): number[] =>
  Array.from({ length: layers }, (_, index) => forwardMs + (index + 1) * layerMs);
const anyDevices = fc.array(anyDevice, { minLength: 1, maxLength: 10 }).map((devices) =>
  devices.map(({ forwardMs, layerMs, maxDepth }, index): DeviceTimes => {
    return { id: `c-${index}`, times: timesOf(forwardMs, layerMs), maxDepth };
  }),
);
const anyRules = fc
  .record({ share: fc.double({ min: 0, max: 1, noNaN: true }), isAside: fc.boolean() })
  .map(({ share, isAside }): DepthRules => {
    const stragglers = isAside ? "set-aside" : "keep";
    return { minDepth: 1, maxWaitMs: (longestMs) => share * longestMs, stragglers };
  });

const timeAt = (device: DeviceTimes, depths: ReadonlyMap<string, number>): number =>
  device.times[depths.get(device.id)! - 1]!;

test("the mean waiting time keeps the bound, or the slowest can do no less", () => {
  fc.assert(
    fc.property(anyDevices, anyRules, (devices, rules) => {
      const depths = chooseDepths(devices, { ...rules, stragglers: "keep" });
      const times = devices.map((device) => timeAt(device, depths));
      const longest = Math.max(...times);
      const isBound = meanWait(times) <= rules.maxWaitMs(longest) + 1e-9;
      expect(isBound || devices.some((device) => device.times[0] === longest)).toBe(true);
    }),
  );
});

test("with stragglers set aside, those who are left keep the bound", () => {
  fc.assert(
    fc.property(anyDevices, anyRules, (devices, rules) => {
      const depths = chooseDepths(devices, { ...rules, stragglers: "set-aside" });
      const left = [...devices].sort((a, b) => timeAt(a, depths) - timeAt(b, depths));
      for (;;) {
        const times = left.map((device) => timeAt(device, depths));
        if (meanWait(times) <= rules.maxWaitMs(Math.max(0, ...times)) + 1e-9) return;
        expect(depths.get(left.pop()!.id)).toBe(1);
      }
    }),
  );
});

test("nobody trains more than its memory carries, and nobody could train more in the same time", () => {
  fc.assert(
    fc.property(anyDevices, anyRules, (devices, rules) => {
      const depths = chooseDepths(devices, { ...rules, stragglers: "keep" });
      const longest = Math.max(...devices.map((device) => timeAt(device, depths)));
      for (const device of devices) {
        const depth = depths.get(device.id)!;
        expect(depth).toBeLessThanOrEqual(device.maxDepth);
        if (depth < device.maxDepth) expect(device.times[depth]!).toBeGreaterThan(longest);
      }
    }),
  );
});

test("a slower device never trains more layers than an otherwise equal faster one", () => {
  fc.assert(
    fc.property(
      anyDevices,
      anyRules,
      anyDevice,
      fc.nat(5),
      fc.nat(3),
      fc.boolean(),
      (others, rules, fast, more, moreEach, isFirst) => {
        const { forwardMs, layerMs, maxDepth } = fast;
        const [fastId, slowId] = isFirst ? ["a", "b"] : ["b", "a"];
        const depths = chooseDepths(
          [
            ...others,
            { id: fastId, times: timesOf(forwardMs, layerMs), maxDepth },
            { id: slowId, times: timesOf(forwardMs + more, layerMs + moreEach), maxDepth },
          ],
          rules,
        );
        expect(depths.get(slowId)).toBeLessThanOrEqual(depths.get(fastId)!);
      },
    ),
  );
});

test("equals get equal depths, in whatever order they come", () => {
  const device = (id: string): DeviceTimes => ({ id, times: timesOf(0, 10), maxDepth: 8 });
  const fast: DeviceTimes = { id: "z", times: timesOf(0, 1), maxDepth: 8 };
  const rules: DepthRules = { minDepth: 1, maxWaitMs: () => 14, stragglers: "keep" };
  const depths = chooseDepths([device("b"), fast, device("a")], rules);
  expect(Object.fromEntries(depths)).toEqual({ a: 5, b: 5, z: 8 });
});
