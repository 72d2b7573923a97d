import type { SavedAdapter } from "@fedlora/client-sdk";
import {
  changedWeights,
  dataOf,
  deltaFiles,
  openTinyWorkbench,
  readPeftGolden,
  trainEverything,
  type TinyKind,
  type TinyWorkbench,
} from "@fedlora/client-sdk/testing";
import {
  fromPeftConfig,
  loraKeys,
  readSafetensors,
  resolveAdapter,
  toFloat32,
  toPeftConfig,
  type RunSpec,
} from "@fedlora/core";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportModules, withOpenDeltas } from "./export-source.js";
import type { MadeAdapter } from "./made-adapter.js";
import { stackAdapter } from "./stack-adapter.js";
import { relativeLeftOut, truncateAdapter, type TruncateOptions } from "./truncate-adapter.js";

interface GoldenModule {
  readonly rank: number;
  /** By rank: what the best approximation leaves out. */
  readonly tails: readonly number[];
}
const golden = JSON.parse(
  readFileSync(new URL("../../../testdata/export/golden.json", import.meta.url), "utf8"),
) as Readonly<Record<TinyKind, Readonly<Record<string, Readonly<Record<string, GoldenModule>>>>>>;
const kinds = ["bert", "llama"] as const;

let benches: Readonly<Record<TinyKind, TinyWorkbench>>;
/** As PEFT saved them: ranks and alphas by module (bert), and one pair of [16, 20] and [20, 16] matrices (llama). */
let adapters: Readonly<Record<TinyKind, SavedAdapter>>;
beforeAll(async () => {
  benches = { bert: await openTinyWorkbench("bert"), llama: await openTinyWorkbench("llama") };
  adapters = { bert: await benches.bert.readAdapter("patterns"), llama: await benches.llama.readAdapter("plain") };
});
afterAll(() => Promise.all(kinds.map((kind) => benches[kind].remove())));

const specOf = ({ spec, task }: SavedAdapter): RunSpec => ({ adapter: spec, task }) as unknown as RunSpec;

function modulesOf(kind: TinyKind, count: number) {
  const adapter = adapters[kind];
  return exportModules({ spec: specOf(adapter), adapter: adapter.tensors }, deltaFiles(kind, count));
}

const stack = (kind: TinyKind, count: number): Promise<MadeAdapter> => {
  const modules = modulesOf(kind, count);
  return withOpenDeltas(deltaFiles(kind, count), modules, (deltas) =>
    stackAdapter(modules, adapters[kind].tensors, deltas),
  );
};
const truncate = (kind: TinyKind, count: number, options: TruncateOptions = {}) => {
  const modules = modulesOf(kind, count);
  return withOpenDeltas(deltaFiles(kind, count), modules, (deltas) =>
    truncateAdapter(modules, adapters[kind].tensors, deltas, options),
  );
};

/** The adapter as our reader of PEFT's files takes it, from the run's config and what the export changes of it. */
function readBack(kind: TinyKind, made: MadeAdapter): SavedAdapter {
  const { spec, task } = adapters[kind];
  const { manifest } = benches[kind].baseModel;
  const config = { ...toPeftConfig(spec, resolveAdapter(spec, manifest, task), task), ...made.config };
  return { spec: fromPeftConfig(config, manifest, task).spec, task, tensors: made.tensors };
}

/** s B A of a module in float64, row by row; zeros where the adapter has none. */
function productOf(kind: TinyKind, adapter: SavedAdapter, name: string): Float64Array {
  const { manifest } = benches[kind].baseModel;
  const { dIn, dOut } = manifest.modules.find((module) => module.name === name)!;
  const product = new Float64Array(dOut * dIn);
  const resolved = resolveAdapter(adapter.spec, manifest, adapter.task);
  const module = resolved.modules.find((each) => each.name === name);
  if (module === undefined) return product;
  const [a, b] = [loraKeys(name).a, loraKeys(name).b].map((key) => toFloat32(adapter.tensors.get(key)!)) as [
    Float32Array,
    Float32Array,
  ];
  for (let i = 0; i < product.length; i++) {
    const [row, column] = [Math.floor(i / dIn), i % dIn];
    for (let k = 0; k < module.rank; k++) {
      product[i] = product[i]! + module.scaling * b[row * module.rank + k]! * a[k * dIn + column]!;
    }
  }
  return product;
}

/** What the adapter and the changes make of a module's weight, beyond the base: numpy's changed weights and s B A. */
async function changesOf(kind: TinyKind, count: 2 | 4): Promise<ReadonlyMap<string, Float64Array>> {
  const base = readSafetensors(await readFile(join(benches[kind].baseModel.folder, "model.safetensors"))).tensors;
  const changed = await changedWeights(kind, count);
  return new Map(
    modulesOf(kind, count).map(({ name }) => {
      const stored = `${kind === "bert" ? name.slice("bert.".length) : name}.weight`;
      const sum = productOf(kind, adapters[kind], name);
      const before = toFloat32(base.get(stored)!);
      const after = changed.get(stored);
      if (after !== undefined) toFloat32(after).forEach((value, i) => (sum[i] = sum[i]! + (value - before[i]!)));
      return [name, sum];
    }),
  );
}

const distance = (x: Float64Array, y: Float64Array): number => Math.hypot(...x.map((value, i) => value - y[i]!));

describe("stacked", () => {
  test.each(kinds)("%s: every module's s B' A' is s B A + the changes", async (kind) => {
    const made = readBack(kind, await stack(kind, 2));

    for (const [name, expected] of await changesOf(kind, 2)) {
      const norm = Math.hypot(...expected);
      expect(norm, name).toBeGreaterThan(0.1);
      expect(distance(productOf(kind, made, name), expected), name).toBeLessThan(1e-6 * norm);
    }
  });

  test.each(kinds)("%s: the ranks add up, and heads are the adapter's", async (kind) => {
    const { ranks, tensors } = await stack(kind, 2);

    const extra = kind === "bert" ? "bert.encoder.layer.0.intermediate.dense" : "model.layers.0.mlp.gate_proj";
    const first = modulesOf(kind, 0)[0]!;
    expect(ranks.get(extra)).toBe((modulesOf(kind, 0).find(({ name }) => name === extra)?.rank ?? 0) + 2);
    expect([...ranks.keys()]).toEqual(modulesOf(kind, 2).map(({ name }) => name));
    expect(ranks.get(first.name)).toBeGreaterThanOrEqual(first.rank);
    for (const [name, tensor] of adapters[kind].tensors) {
      if (name.includes("classifier")) expect(tensors.get(name)).toEqual(tensor);
    }
  });

  test("bert answers as with the changed base weights", async () => {
    const { texts } = (await readPeftGolden()).bert;
    const bench = benches.bert;
    const expected = await bench.adapt(adapters.bert, deltaFiles("bert", 2)).classify(texts);
    const without = await bench.adapt(adapters.bert).classify(texts);

    const results = await bench.adapt(readBack("bert", await stack("bert", 2))).classify(texts);

    const logs = (of: typeof results) => of.flatMap(({ scores }) => Object.values(scores).map(Math.log));
    logs(results).forEach((value, at) => expect(value).toBeCloseTo(logs(expected)[at]!, 4));
    expect(Math.max(...logs(without).map((value, at) => Math.abs(value - logs(expected)[at]!)))).toBeGreaterThan(0.01);
  });

  test("llama finds the texts as likely as with the changed base weights", async () => {
    const { examples } = (await readPeftGolden()).llama;
    const lossOf = async (adapter: SavedAdapter, baseDeltas: ReturnType<typeof deltaFiles>): Promise<number> => {
      const instructions = trainEverything(adapter, { localSteps: 1 });
      const request = { instructions, start: adapter.tensors, data: dataOf([], examples), baseDeltas };
      const counts = await benches.llama.trainer.evaluate(request, new AbortController().signal, () => undefined);
      return counts.lossSum / counts.count;
    };
    const expected = await lossOf(adapters.llama, deltaFiles("llama", 2));

    expect(await lossOf(readBack("llama", await stack("llama", 2)), [])).toBeCloseTo(expected, 4);
    expect(Math.abs((await lossOf(adapters.llama, [])) - expected)).toBeGreaterThan(0.002);
  });

  test.each(kinds)("%s: a whole matrix is refused, and the forms that hold it are named", async (kind) => {
    await expect(stack(kind, 3)).rejects.toMatchObject({
      code: "export-refused",
      message: expect.stringMatching(/whole matrix.*"merged".*"truncated"/u),
    });
  });
});

describe("truncated", () => {
  const cases = kinds.flatMap((kind) => [0, 2, 4].map((count) => [kind, count] as const));

  test.each(cases)("%s with %d changes: norms and what is left out are LAPACK's", async (kind, count) => {
    const largest = Math.max(...modulesOf(kind, 0).map(({ rank }) => rank));
    for (const rank of [undefined, 1, 3]) {
      const { modules } = await truncate(kind, count, { rank });

      expect(modules.map(({ name }) => name)).toEqual(Object.keys(golden[kind][count]!));
      for (const { name, rank: written, norm, leftOut } of modules) {
        const { rank: own, tails } = golden[kind][count]![name]!;
        const possible = tails.findIndex((tail) => tail < 1e-9);
        expect(written, name).toBe(Math.min(rank ?? (own === 0 ? largest : own), possible));
        expect(norm, name).toBeCloseTo(tails[0]!, 5);
        expect(leftOut, name).toBeCloseTo(tails[rank ?? (own === 0 ? largest : own)]!, 5);
      }
    }
  });

  test.each(kinds.flatMap((kind) => ([2, 4] as const).map((count) => [kind, count] as const)))(
    "%s with %d changes: what is written differs from the whole by what is said to be left out",
    async (kind, count) => {
      const made = await truncate(kind, count, { rank: 2 });
      const adapter = readBack(kind, made);

      for (const [name, expected] of await changesOf(kind, count)) {
        const { leftOut, norm } = made.modules.find((module) => module.name === name)!;
        expect(distance(productOf(kind, adapter, name), expected) - leftOut, name).toBeLessThan(1e-5 * norm);
        expect(leftOut - distance(productOf(kind, adapter, name), expected), name).toBeLessThan(1e-5 * norm);
      }
    },
  );

  test.each(kinds)("%s: a rank as large as the matrices leaves nothing out", async (kind) => {
    const { modules, ranks } = await truncate(kind, 4, { rank: 4096 });

    expect(relativeLeftOut(modules)).toBeLessThan(1e-6);
    expect(Math.max(...ranks.values())).toBeLessThanOrEqual(16);
  });

  test("all modules together: the root of the sum of squares, over that of the norms", () => {
    const module = { name: "", rank: 1 };

    expect(
      relativeLeftOut([
        { ...module, norm: 3, leftOut: 0.3 },
        { ...module, norm: 4, leftOut: 0.4 },
      ]),
    ).toBeCloseTo(0.1);
    expect(relativeLeftOut([{ ...module, norm: 0, leftOut: 0 }])).toBe(0);
  });

  test("is stopped by its signal", async () => {
    await expect(truncate("bert", 2, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/iu);
  });
});

test.each(kinds)("%s: a module's scaling is that of the run's patterns, 1 where only the base changed", (kind) => {
  const { manifest } = benches[kind].baseModel;
  const resolved = resolveAdapter(adapters[kind].spec, manifest, adapters[kind].task).modules;

  const modules = modulesOf(kind, 4);

  for (const { name, rank, scaling, dIn, dOut } of modules) {
    const expected = resolved.find((module) => module.name === name);
    expect({ rank, scaling }).toEqual({ rank: expected?.rank ?? 0, scaling: expected?.scaling ?? 1 });
    expect(manifest.modules.find((module) => module.name === name)).toMatchObject({ dIn, dOut });
  }
  if (kind === "llama") expect(modules.some(({ rank }) => rank === 0)).toBe(true);
  else expect(new Set(modules.map(({ scaling }) => scaling)).size).toBeGreaterThan(1);
});
