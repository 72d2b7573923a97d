import { beforeAll, expect, test } from "vitest";
import { loadEagerBackend } from "../../engine/eager/load-backend.js";
import { runOnBackend } from "../../engine/eager/run-on-backend.js";
import { type RopeLayout, ropeTables } from "./rope.js";
import { tensorOf } from "./value.js";

beforeAll(() => loadEagerBackend("tfjs-cpu", 1));

test.each<[number, RopeLayout]>([
  [1, "half-split"],
  [64, "interleaved"],
  [65, "half-split"],
  [200, "interleaved"],
  [2048, "half-split"],
])("the tables of %d positions (%s) are cosine and sine to the last bits", (length, layout) => {
  const [headDim, theta] = [8, 10_000];

  const tables = runOnBackend("cpu", () => {
    const { cos, sin } = ropeTables(length, headDim, theta, layout);
    return [cos, sin].map((table) => ({ shape: table.shape, values: tensorOf(table).dataSync<"float32">() }));
  });

  for (const [index, f] of [Math.cos, Math.sin].entries()) {
    const { shape, values } = tables[index]!;
    expect(shape).toEqual([length, headDim]);
    const worst = values.reduce((most, value, at) => {
      const column = at % headDim;
      const pair = layout === "half-split" ? column % 4 : Math.floor(column / 2);
      const angle = Math.floor(at / headDim) * Math.fround(theta ** (-pair / 4));
      return Math.max(most, Math.abs(value - f(angle)));
    }, 0);
    expect(worst).toBeLessThan(length <= 64 ? 4e-8 : 2e-7);
  }
});
