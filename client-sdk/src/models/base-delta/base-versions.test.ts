import { baseDeltaKeys, elementCount, fromFloat32, readSafetensors, systemClock, toFloat32 } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deltaFiles } from "../../testing/changed-bases.js";
import { peftFolder } from "../../testing/tiny-models.js";
import type { BaseModel } from "../base-model.js";
import { loadBaseModel } from "../load/load-base-model.js";
import type { BaseDelta } from "./base-delta.js";
import { BaseVersions } from "./base-versions.js";

let cacheFolder: string;
let baseModel: BaseModel;
beforeEach(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "fedlora-versions-"));
  baseModel = await loadBaseModel(join(peftFolder, "llama", "base"), { cacheFolder });
});
afterEach(() => rm(cacheFolder, { recursive: true }));

/** Time goes on by a second with every look at the clock, so that uses are ordered. */
function steppingClock() {
  let now = systemClock.now();
  return { ...systemClock, now: () => (now += 1000) };
}
const start = (others: Partial<ConstructorParameters<typeof BaseVersions>[0]> = {}) =>
  new BaseVersions({ baseModel, cacheFolder, clock: steppingClock(), ...others });
const versionsFolder = () => join(cacheFolder, "base-versions");
const cached = async () => (await readdir(versionsFolder()).catch(() => [])).sort();
const none = new Set<string>();

/** A dense change of one matrix, which is merged at once. */
function denseDelta(index: number, module = "model.layers.0.mlp.down_proj", shape = [16, 20]): BaseDelta {
  const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(index + i) / 7);
  const source = new Map([[baseDeltaKeys(module).dense, fromFloat32(values, shape)]]);
  return { id: index.toString(16).padStart(64, "0"), source };
}
const chain = (length: number): BaseDelta[] => Array.from({ length }, (_, index) => denseDelta(index + 1));
/** Dense changes of one matrix as one, as the coordinator joins them. */
function sumOf(parts: readonly BaseDelta[]): BaseDelta {
  const key = baseDeltaKeys("model.layers.0.mlp.down_proj").dense;
  const matrices = parts.map(({ source }) => toFloat32((source as StateDict).get(key)!));
  const sum = matrices[0]!.map((_, at) => matrices.reduce((total, values) => total + values[at]!, 0));
  return { id: "f".repeat(64), source: new Map([[key, fromFloat32(sum, [16, 20])]]) };
}
const withoutSources = (deltas: readonly BaseDelta[], count: number): BaseDelta[] =>
  deltas.map((delta, index) => (index < count ? { ...delta, source: undefined } : delta));

describe("a version of the base weights", () => {
  test("without deltas is the base itself", async () => {
    const base = await start().open([], none);

    expect(base).toMatchObject({ weightsFile: await baseModel.weightsFile(), pairs: undefined });
    expect(await cached()).toEqual([]);
  });

  test("of small changes is the base with pairs, padded, for the modules asked for and those changed", async () => {
    const base = await start().open(deltaFiles("llama", 2), new Set(["model.layers.1.mlp.up_proj"]));

    expect(base.weightsFile).toBe(await baseModel.weightsFile());
    expect(base.pairs?.rank).toBe(8); // 3 + 2
    expect(base.pairs?.modules).toEqual(
      baseModel.manifest.modules
        .map(({ name }) => name)
        .filter((name) => /(q_proj|v_proj|down_proj|0\.mlp\.gate_proj|1\.mlp\.up_proj)$/u.test(name)),
    );
    const shapes = [...base.pairs!.tensors].map(([name, { shape }]) => [name, shape]);
    expect(shapes).toContainEqual(["base_model.model.model.layers.0.mlp.gate_proj.lora_B.weight", [20, 8]]);
    const unchanged = base.pairs!.tensors.get("base_model.model.model.layers.1.mlp.up_proj.lora_A.weight")!;
    expect(toFloat32(unchanged)).toEqual(new Float32Array(8 * 16));
    expect(await cached()).toEqual([]);
  });

  test("stacks factors so that their product is the sum of the products", async () => {
    const deltas = deltaFiles("llama", 2);
    const module = "model.layers.0.self_attn.v_proj"; // [8, 16]
    const { pairs } = await start().open(deltas, none);

    const product = (a: Float32Array, b: Float32Array, rank: number): number[] =>
      Array.from({ length: 8 * 16 }, (_, i) => {
        const [row, column] = [Math.floor(i / 16), i % 16];
        return Array.from({ length: rank }, (__, k) => b[row * rank + k]! * a[k * 16 + column]!).reduce(
          (x, y) => x + y,
        );
      });
    const expected = new Array<number>(8 * 16).fill(0);
    for (const { source } of deltas) {
      const { tensors } = readSafetensors(await readFile(source));
      const keys = baseDeltaKeys(module);
      const [a, b] = [tensors.get(keys.a)!, tensors.get(keys.b)!];
      product(toFloat32(a), toFloat32(b), a.shape[0]!).forEach((value, i) => (expected[i]! += value));
    }
    const [a, b] = ["A", "B"].map((half) => pairs!.tensors.get(`base_model.model.${module}.lora_${half}.weight`)!);
    product(toFloat32(a!), toFloat32(b!), 8).forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 6));
  });

  test("is the same to the bit, whether a client joins late or merged every version", async () => {
    const deltas = [...deltaFiles("llama", 4), ...chain(3), ...deltaFiles("llama", 2)];
    const everyVersion = start();
    for (let version = 1; version < deltas.length; version++) {
      await (await everyVersion.open(deltas.slice(0, version), none)).release();
    }
    const one = await everyVersion.open(deltas, none);
    const late = await mkdtemp(join(tmpdir(), "fedlora-late-"));
    const other = await start({ cacheFolder: late }).open(deltas, none);

    expect(one.weightsFile).toContain(cacheFolder);
    expect(other.weightsFile.slice(late.length)).toBe(one.weightsFile.slice(cacheFolder.length));
    expect((await readFile(one.weightsFile)).equals(await readFile(other.weightsFile))).toBe(true);
    expect(other.pairs).toEqual(one.pairs);
    await rm(late, { recursive: true });
  });

  test("is the same to the bit behind joined changes, for who merged their parts and for who joins late", async () => {
    const parts = chain(4);
    const joined = sumOf(parts.slice(0, 3));
    const member = start();
    const before = await member.open(parts, none);
    const after = await member.open([joined, parts[3]!], none);
    const late = await mkdtemp(join(tmpdir(), "fedlora-late-"));
    const other = await start({ cacheFolder: late }).open([joined, parts[3]!], none);

    const bytes = await readFile(after.weightsFile);
    expect((await readFile(other.weightsFile)).equals(bytes)).toBe(true);
    // The parts one by one were rounded more often: the same numbers, not the same bits.
    const key = "model.layers.0.mlp.down_proj.weight";
    const [one, many] = [bytes, await readFile(before.weightsFile)].map((each) =>
      toFloat32(readSafetensors(each).tensors.get(key)!),
    );
    expect(many).not.toEqual(one);
    for (const [at, value] of one!.entries()) expect(many![at]).toBeCloseTo(value, 6);
    await rm(late, { recursive: true });
  });

  test("goes on from the longest one in the cache without the files of what is merged in it", async () => {
    const deltas = chain(4);
    const ids = deltas.map(({ id }) => id);
    const versions = start();
    await (await versions.open(deltas.slice(0, 3), none)).release();

    expect(await versions.held(ids)).toBe(3);
    expect(await versions.held(ids.slice(0, 2))).toBe(0); // a later version is of no use
    expect(await versions.held([ids[1]!, ids[0]!, ids[2]!])).toBe(0);
    const next = await versions.open(withoutSources(deltas, 3), none);
    expect(next.weightsFile).not.toBe(await baseModel.weightsFile());
    const missing = start().open(withoutSources([denseDelta(9), ...deltas], 1), none);
    await expect(missing).rejects.toMatchObject({ code: "file-missing" });
    await next.release();
  });

  test("opens a graph beside its own weights", async () => {
    const graphs = join(cacheFolder, "artifacts", "key");
    await mkdir(graphs, { recursive: true });
    await writeFile(join(graphs, "step.onnx"), "graph");
    const artifact = { folder: graphs, manifest: { key: "key", graphFile: "step.onnx" } } as never;
    const versions = start();
    const [one, two, base] = [
      await versions.open(chain(1), none),
      await versions.open(chain(2), none),
      await versions.open([], none),
    ];

    const placed = await Promise.all([one, one, two, base].map((version) => version.place(artifact)));

    expect(new Set(placed.map(({ folder }) => folder)).size).toBe(3);
    expect(placed[3]?.folder).toBe(graphs);
    for (const { folder } of placed) expect(await readFile(join(folder, "step.onnx"), "utf8")).toBe("graph");
  });
});

describe("the cache", () => {
  test("keeps two versions that nobody uses, the latest, and every one in use", async () => {
    const versions = start();
    const deltas = chain(6);
    const used = await versions.open(deltas.slice(0, 1), none);
    for (let version = 2; version <= 6; version++) {
      await (await versions.open(deltas.slice(0, version), none)).release();
    }

    expect(await cached()).toHaveLength(3);
    expect((await stat(used.weightsFile)).size).toBeGreaterThan(1000);
    expect(await versions.held(deltas.map(({ id }) => id))).toBe(6);
    await used.release();
    expect(await cached()).toHaveLength(2);
    await expect(stat(used.weightsFile)).rejects.toThrow("ENOENT");
  });

  test("leaves the versions of other base models alone", async () => {
    const bert = await loadBaseModel(join(peftFolder, "bert", "base"), { cacheFolder });
    const other = denseDelta(1, "bert.encoder.layer.0.intermediate.dense", [24, 16]);
    await (await start({ baseModel: bert }).open([other], none)).release();
    const versions = start();

    for (let version = 1; version <= 4; version++) await (await versions.open(chain(version), none)).release();

    expect(await start({ baseModel: bert }).held([other.id])).toBe(1);
    expect(await cached()).toHaveLength(3);
  });

  test("is shared: two at once end with one version", async () => {
    const [one, two] = await Promise.all([start().open(chain(2), none), start().open(chain(2), none)]);

    expect(one.weightsFile).toBe(two.weightsFile);
    expect(await cached()).toHaveLength(1);
    await Promise.all([one.release(), two.release()]);
  });

  test("makes a damaged version anew, and clears away what an ended process left", async () => {
    const first = await start().open(chain(1), none);
    const intact = await readFile(first.weightsFile);
    await first.release();
    await writeFile(first.weightsFile, intact.subarray(1));
    const { pid } = spawnSync(process.execPath, ["--version"]);
    const abandoned = join(versionsFolder(), `.${"0".repeat(64)}.tmp.${pid}.token.1`);
    await mkdir(abandoned);
    await writeFile(join(versionsFolder(), (await cached()).at(-1)!, "in-use", `${pid}.token.2`), "");

    expect(await start().held([denseDelta(1).id])).toBe(0); // another process finds it damaged
    const again = await start().open(chain(1), none);

    expect((await readFile(again.weightsFile)).equals(intact)).toBe(true);
    await again.release();
    await expect(stat(abandoned)).rejects.toThrow("ENOENT");
  });

  test("does not count the mark of an ended process as a use", async () => {
    const versions = start();
    const first = await versions.open(chain(1), none);
    const { pid } = spawnSync(process.execPath, ["--version"]);
    await writeFile(join(first.weightsFile, "..", "in-use", `${pid}.token.1`), "");
    await first.release();

    for (let version = 2; version <= 3; version++) await (await versions.open(chain(version), none)).release();

    await expect(stat(first.weightsFile)).rejects.toThrow("ENOENT");
  });

  test("refuses to fill the disk, and leaves nothing of a merge that failed", async () => {
    const full = start({ freeBytes: () => Promise.resolve(1e6) }).open(chain(1), none);
    await expect(full).rejects.toMatchObject({ code: "storage-full", details: { freeBytes: "1000000" } });

    const stopped = start().open(chain(1), none, AbortSignal.abort());
    await expect(stopped).rejects.toMatchObject({ code: "cancelled" });
    expect(await cached()).toEqual([]);
  });
});
