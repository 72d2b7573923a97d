import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { ExactSum } from "./exact-sum.js";
import { ExactTotal } from "./exact-total.js";
import { blockLength, LevelArena, stagedLength } from "./level-arena.js";
import type { KernelKind } from "./level-arena.js";

const level = ({ doubles }: LevelArena, address: number): Float64Array =>
  doubles.subarray(address >>> 3, (address >>> 3) + blockLength);

describe.each<KernelKind>(["simd", "plain"])("an arena with %s kernels", (kind) => {
  test("keeps what its levels hold when its memory grows, and gives zeros again", () => {
    const arena = new LevelArena(kind);
    const before = arena.bytes;

    const taken = Array.from({ length: 300 }, () => arena.take());
    taken.forEach((address, i) => level(arena, address).fill(i + 1));
    const more = Array.from({ length: 300 }, () => arena.take());

    expect(arena.bytes).toBeGreaterThan(before);
    expect(new Set([...taken, ...more]).size).toBe(600);
    taken.forEach((address, i) => expect(level(arena, address).every((value) => value === i + 1)).toBe(true));
    for (const address of more) expect(level(arena, address).every((value) => value === 0)).toBe(true);

    const grown = arena.bytes;
    for (const address of [...taken, ...more]) arena.give(address);
    expect(arena.used).toBe(0);
    const again = Array.from({ length: 600 }, () => arena.take());
    expect(arena.bytes).toBe(grown);
    for (const address of again) expect(level(arena, address).every((value) => value === 0)).toBe(true);
  });

  test("stages a part of an array with zeros after it", () => {
    const arena = new LevelArena(kind);
    const staged = (): number[] => [...arena.floats.subarray(0, 8)];
    arena.stage(new Float32Array(stagedLength).fill(9), 0, stagedLength);
    arena.stage(Float32Array.of(1, 2, 3, 4, 5, 6), 1, 3);
    expect(staged()).toEqual([2, 3, 4, 0, 0, 0, 0, 9]);
    arena.stage(undefined, 0, 2);
    expect(staged().slice(0, 4)).toEqual([0, 0, 0, 0]);
  });

  test("gets its levels back when a mean was taken or a sum cleared", () => {
    const arena = new LevelArena(kind);
    const values = new Float32Array(3000).fill(0.1);
    const [sum, total] = [new ExactSum(values.length, arena), new ExactTotal()];
    sum.add(values, 2);
    total.add(2);
    expect(arena.used).toBe(6);
    sum.takeMean(total);
    expect(arena.used).toBe(0);
    sum.add(values, 2);
    sum.clear();
    expect(arena.used).toBe(0);
  });
});

test("a sum that was dropped leaves its memory to others", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const arena = new LevelArena();
  const drop = (): void => {
    new ExactSum(5000, arena).add(new Float32Array(5000).fill(1), 1);
  };
  drop();
  expect(arena.used).toBe(10);
  for (let attempt = 0; attempt < 100 && arena.used > 0; attempt++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(arena.used).toBe(0);
});
