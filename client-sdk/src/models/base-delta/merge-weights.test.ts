import {
  baseDeltaKeys,
  fromFloat32,
  readSafetensors,
  type StateDict,
  toFloat32,
  writeSafetensors,
} from "@fedlora/core";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { changedWeights, deltaFiles } from "../../testing/changed-bases.js";
import { peftFolder } from "../../testing/tiny-models.js";
import { loadBaseModel } from "../load/load-base-model.js";
import { type BaseDelta, OpenBaseDelta } from "./base-delta.js";
import { mergeBaseDeltas } from "./merge-weights.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-merge-"));
});
afterEach(() => rm(folder, { recursive: true }));

const open = (kind: "bert" | "llama") => loadBaseModel(join(peftFolder, kind, "base"), { cacheFolder: folder });
const readAll = async (path: string): Promise<StateDict> => readSafetensors(await readFile(path)).tensors;
const valuesOf = (state: StateDict, name: string): number[] => [...toFloat32(state.get(name)!)];

async function merge(
  kind: "bert" | "llama",
  deltas: readonly BaseDelta[],
  signal?: AbortSignal,
): Promise<{ readonly before: StateDict; readonly after: StateDict; readonly target: string }> {
  const baseModel = await open(kind);
  const { manifest } = baseModel;
  const target = join(folder, "merged.safetensors");
  const opened = await Promise.all(deltas.map((delta) => OpenBaseDelta.open(delta, manifest)));
  const file = await baseModel.weightsFile();
  try {
    await mergeBaseDeltas({ weightsFile: file, target, segments: [opened], manifest, signal });
  } finally {
    for (const delta of opened) await delta.close();
  }
  return { before: await readAll(file), after: await readAll(target), target };
}

describe("the merged file", () => {
  test.each([
    ["bert", 2],
    ["bert", 4],
    ["llama", 2],
    ["llama", 4],
  ] as const)("of %s at version %d is what numpy computes, to the bit, and else what it was", async (kind, version) => {
    const { before, after } = await merge(kind, deltaFiles(kind, version));

    const expected = await changedWeights(kind, version);
    const changed = new Map([...expected].map(([name, tensor]) => [kind === "bert" ? `bert.${name}` : name, tensor]));
    expect(changed.size).toBeGreaterThan(4);
    expect([...after.keys()]).toEqual([...before.keys()]);
    for (const name of after.keys()) {
      expect(valuesOf(after, name), name).toEqual(valuesOf(changed.has(name) ? changed : before, name));
    }
  });

  test("is the same from tensors in memory", async () => {
    const files = deltaFiles("llama");
    const inMemory = await Promise.all(files.map(async ({ id, source }) => ({ id, source: await readAll(source) })));

    const one = await readFile((await merge("llama", files)).target);
    const other = await readFile((await merge("llama", inMemory)).target);

    expect(one.equals(other)).toBe(true);
  });

  test("has every row of a matrix larger than one block", async () => {
    const [rows, columns] = [700, 900];
    const name = "wide";
    const base = Float32Array.from({ length: rows * columns }, (_, i) => (i % 1009) / 64);
    const a = Float32Array.from({ length: 8 * columns }, (_, i) => ((i % 13) - 6) / 8);
    const b = Float32Array.from({ length: rows * 8 }, (_, i) => ((i % 7) - 3) / 4);
    const weightsFile = join(folder, "wide.safetensors");
    await writeFile(weightsFile, writeSafetensors(new Map([["wide.weight", fromFloat32(base, [rows, columns])]])));
    const manifest = { modules: [{ name, kind: "linear", dIn: columns, dOut: rows, layer: 0 }] } as const;
    const keys = baseDeltaKeys(name);
    const factors = new Map([
      [keys.a, fromFloat32(a, [8, columns])],
      [keys.b, fromFloat32(b, [rows, 8])],
    ]);
    const dense = new Map([[keys.dense, fromFloat32(base, [rows, columns])]]);
    const deltas = await Promise.all(
      [factors, dense].map((source, index) => OpenBaseDelta.open({ id: `${index}`, source }, manifest)),
    );

    await mergeBaseDeltas({ weightsFile, target: join(folder, "merged"), segments: [deltas], manifest });

    const merged = valuesOf(await readAll(join(folder, "merged")), "wide.weight");
    // All numbers here are multiples of 1/64 and small: sums are exact in any order.
    const expected = base.map((value, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns];
      let sum = 2 * value;
      for (let k = 0; k < 8; k++) sum += b[row * 8 + k]! * a[k * columns + column]!;
      return sum;
    });
    expect(merged).toEqual([...expected]);
  });

  test("does not appear when the merge is stopped", async () => {
    await expect(merge("bert", deltaFiles("bert"), AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });

    expect((await readdir(folder)).filter((name) => name.startsWith("merged"))).toEqual([]);
  });
});

describe("a delta that does not fit is refused by its tensor's name", () => {
  const { a, b, dense } = baseDeltaKeys("model.layers.0.mlp.down_proj");
  const zeros = (...shape: number[]) => fromFloat32(new Float32Array(shape.reduce((x, y) => x * y)), shape);

  test.each([
    ["factors the other way round", { [a]: zeros(16, 2), [b]: zeros(2, 20) }, /delta_B.* asks for \[16, 16\]|delta_A/u],
    ["a dense matrix the other way round", { [dense]: zeros(20, 16) }, /\[20, 16\], the model asks for \[16, 20\]/u],
    ["one factor alone", { [a]: zeros(2, 20) }, /delta_B\.weight" is missing/u],
    ["unequal ranks", { [a]: zeros(2, 20), [b]: zeros(16, 3) }, /\[16, 3\], the model asks for \[16, 2\]/u],
    ["both forms", { [a]: zeros(2, 20), [b]: zeros(16, 2), [dense]: zeros(16, 20) }, /together with factors/u],
    [
      "a module that is not there",
      { [a.replace("layers.0", "layers.9")]: zeros(2, 20) },
      /layers\.9.*no linear module/u,
    ],
    ["integers", { [dense]: { dtype: "I32" as const, shape: [16, 20], bytes: new Uint8Array(1280) } }, /is I32/u],
  ])("%s", async (_, tensors, message) => {
    const refused = merge("llama", [{ id: "x", source: new Map(Object.entries(tensors)) }]);

    await expect(refused).rejects.toMatchObject({ code: "adapter-invalid", message: expect.stringMatching(message) });
  });

  test("values that are not finite, or make a weight so", async () => {
    const fill = (value: number, ...shape: number[]) =>
      fromFloat32(new Float32Array(shape.reduce((x, y) => x * y)).fill(value), shape);
    const attempt = (tensors: Record<string, ReturnType<typeof fill>>) =>
      merge("llama", [{ id: "x", source: new Map(Object.entries(tensors)) }]);

    for (const tensors of [
      { [a]: fill(Number.NaN, 2, 20), [b]: fill(1, 16, 2) },
      { [dense]: fill(Number.POSITIVE_INFINITY, 16, 20) },
      { [a]: fill(1e30, 2, 20), [b]: fill(1e30, 16, 2) },
    ]) {
      await expect(attempt(tensors)).rejects.toMatchObject({ code: "adapter-invalid" });
    }
  });
});
