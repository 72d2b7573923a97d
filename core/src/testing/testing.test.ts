import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { toBeAllCloseTo, worstElement } from "./all-close.js";
import { ManualClock } from "./manual-clock.js";

describe("all close", () => {
  test("names the element that is furthest beyond what is allowed, not the largest difference", () => {
    const { pass, message } = toBeAllCloseTo([1.5, 1000.1, 3], [1, 1000, 3], { rtol: 1e-3, atol: 0 });

    expect(pass).toBe(false);
    expect(message()).toBe("element 0 is 1.5, expected 1: off by 0.5, allowed 0.001");
  });

  test("agrees with numpy's allclose on the special values", () => {
    const pairs: [number, number, boolean][] = [
      [NaN, NaN, true],
      [NaN, 1, false],
      [1, NaN, false],
      [Infinity, Infinity, true],
      [Infinity, -Infinity, false],
      [1, Infinity, false],
      [Infinity, 1, false],
      [-0, 0, true],
      [1 + 1e-5, 1, true],
      [1 + 1.1e-5, 1, false],
    ];
    for (const [a, e, close] of pairs) expect([a, e, worstElement([a], [e]) === undefined]).toEqual([a, e, close]);
    expect(toBeAllCloseTo([1], [1, 2]).message()).toBe("got 1 values, expected 2");
    expect(toBeAllCloseTo([], []).pass).toBe(true);
  });
});

describe("the manual clock", () => {
  test("wakes sleepers in the order of their times, each at its own time", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(100), { minLength: 1, maxLength: 8 }), async (delays) => {
        const clock = new ManualClock(1000);
        const woken: number[] = [];
        for (const ms of delays) void clock.sleep(ms).then(() => woken.push(clock.now() - 1000));

        await clock.advance(60);

        expect(woken).toEqual(delays.filter((ms) => ms <= 60).sort((a, b) => a - b));
        expect([clock.now(), clock.monotonicMs(), clock.pending]).toEqual([1060, 60, delays.length - woken.length]);
      }),
      { numRuns: 20 },
    );
  });

  test("wakes what sleepers start while it goes on", async () => {
    const clock = new ManualClock();
    const woken: number[] = [];
    const tick = async (): Promise<void> => {
      for (;;) {
        await clock.sleep(10);
        woken.push(clock.now());
      }
    };
    void tick();

    await clock.advance(35);

    expect(woken).toEqual([10, 20, 30]);
  });

  test("rejects a sleeper that is aborted, before or meanwhile", async () => {
    const clock = new ManualClock();
    const controller = new AbortController();
    const sleeping = clock.sleep(10, controller.signal);
    controller.abort(new Error("stop"));

    await expect(sleeping).rejects.toThrow("stop");
    await expect(clock.sleep(10, controller.signal)).rejects.toThrow("stop");
    expect(clock.pending).toBe(0);
  });
});
