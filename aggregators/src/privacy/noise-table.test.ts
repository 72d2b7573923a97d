import { compileRunSpec, fromFloat32, referenceModules, resolveAdapter, adapterKeys, toStateDict } from "@fedlora/core";
import type { RunSpec, RunSpecInput, StateDict } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { entryNoise } from "./entry-noise.js";
import { noiseTable, type NoiseTable, type NoiseTableRequest } from "./noise-table.js";

const model = referenceModules("minilm-l6");
const noise = { std: 0.01, concentration: 0.25, origin: "test" };

function specOf(more: Partial<RunSpecInput> = {}): RunSpec {
  return compileRunSpec({
    name: "test",
    model: { hash: "0".repeat(64) },
    task: { kind: "causal-lm" },
    adapter: { rank: 8, alpha: 16, targetModules: ["query", "value"] },
    rounds: 5,
    cohort: { size: 4 },
    ...more,
  });
}

const tableOf = (spec: RunSpec, more: Partial<NoiseTableRequest> = {}): NoiseTable =>
  noiseTable({ spec, model, noise, ...more });
const row = ({ rows }: NoiseTable, method: string) => rows.find((one) => one.method === method)!;

describe("12 modules of 384 x 384 at rank 8, scaling 2, noise 0.01 on each of 4 clients' values", () => {
  const table = tableOf(specOf());
  // By hand from the closed forms, with |A|^2 = 8 / 3 of a fresh adapter and 48 = 12 modules x scaling^2.
  const linear = 0.01 ** 2 / 4;
  const oneFactor = 48 * 384 * (8 / 3) * linear;
  const quadratic = 48 * 384 * 384 * 8 * 0.01 ** 4;

  test("FFA-LoRA carries noise on B alone, whatever B is", () => {
    expect(row(table, "ffa-lora").atStart).toBeCloseTo(Math.sqrt(oneFactor), 9);
    expect(row(table, "ffa-lora").grown).toBeCloseTo(Math.sqrt(oneFactor), 9);
    expect(row(table, "ffa-lora")).toMatchObject({ noisedValues: 12 * 384 * 8, quadraticShare: 0, personal: false });
  });

  test("FedAvg carries noise on both factors, and its product", () => {
    expect(row(table, "fedavg").atStart).toBeCloseTo(Math.sqrt(oneFactor + quadratic / 16), 9);
    expect(row(table, "fedavg").grown).toBeCloseTo(Math.sqrt(2 * oneFactor + quadratic / 16), 9);
    expect(row(table, "fedavg").quadraticShare).toBeCloseTo(quadratic / 16 / (2 * oneFactor + quadratic / 16), 9);
  });

  test("exact methods average products: their quadratic term is K times as large", () => {
    for (const method of ["fedex-lora", "flora"])
      expect(row(table, method).grown).toBeCloseTo(Math.sqrt(2 * oneFactor + quadratic / 4), 9);
  });

  test("Fed-SB carries noise of rank^2 values between orthonormal factors", () => {
    expect(row(table, "fed-sb")).toMatchObject({ variant: "latent", noisedValues: 12 * 64 });
    expect(row(table, "fed-sb").grown).toBeCloseTo(Math.sqrt(48 * 64 * linear), 9);
  });

  test("RoLoRA carries B's noise in one round and A's in the next", () => {
    expect(row(table, "rolora").atStart).toBeCloseTo(Math.sqrt(oneFactor / 2), 9);
    expect(row(table, "rolora").grown).toBeCloseTo(Math.sqrt(oneFactor), 9);
  });

  test("the quietest is named, and the rank up to which Fed-SB stays below FFA-LoRA", () => {
    expect(table.chosen?.method).toBe("fedavg");
    expect(table.better?.method).toBe("fed-sb");
    // rank^2 = dOut |A|^2 = 384 x 8 / 3.
    expect(table.latentRank).toBe(32);
    expect(table.rows.map(({ grown }) => grown)).toEqual(table.rows.map(({ grown }) => grown).sort((x, y) => x - y));
  });
});

test("a run of the quietest method has no better one", () => {
  const spec = specOf({
    method: { name: "fed-sb" },
    adapter: { rank: 8, targetModules: ["query"], variant: "latent", init: { kind: "gradient" } },
  });
  expect(tableOf(spec)).toMatchObject({ chosen: { method: "fed-sb" }, better: undefined });
});

test("a personal method is not put in the place of a global one, but counts among its own", () => {
  expect(tableOf(specOf()).better?.personal).toBe(false);
  expect(row(tableOf(specOf({ method: { name: "fedsa-lora" } })), "fedsa-lora").personal).toBe(true);
});

test("methods without a closed form, or that do not allow the privacy, have no row", () => {
  const budget = { epsilon: 8, delta: 1e-5, clipNorm: 1 };
  const names = (privacy: RunSpecInput["privacy"]): string[] =>
    tableOf(specOf({ privacy, training: { localSteps: 5 } })).rows.map((one) => one.method);
  const example = names({ mode: "example", ...budget, minExamples: 100 });
  for (const name of ["lora-fair", "krum", "flexlora"]) expect(example).not.toContain(name);
  expect(example).toContain("fedex-lora");
  expect(names({ mode: "local", ...budget })).toContain("fedex-lora");
  const client = names({ mode: "client", ...budget, population: 40 });
  expect(client).not.toContain("fedex-lora");
  expect(client).toContain("fedavg");
  expect(tableOf(specOf({ method: { name: "lora-fair" } })).chosen).toBeUndefined();
});

test("Fed-SB has no row where the rank exceeds a module's side", () => {
  const small = { modules: [{ name: "m.query", kind: "linear", dIn: 4, dOut: 6, layer: null } as const], heads: [] };
  const spec = specOf({ adapter: { rank: 5, targetModules: ["query"] } });
  const methods = tableOf(spec, { model: small }).rows.map(({ method }) => method);
  expect(methods).toContain("ffa-lora");
  expect(methods).not.toContain("fed-sb");
});

test("with an adapter of the run its own norms count", () => {
  const spec = specOf();
  const { modules } = resolveAdapter(spec.adapter, model, spec.task);
  const filled = (value: number, shape: number[]) =>
    fromFloat32(new Float32Array(shape[0]! * shape[1]!).fill(value), shape);
  const adapter: StateDict = toStateDict(
    modules.flatMap(({ name, rank, dIn, dOut }) => [
      [adapterKeys(name).a, filled(0.1, [rank, dIn])] as const,
      [adapterKeys(name).b, filled(0.2, [dOut, rank])] as const,
    ]),
  );
  const expected = 48 * (384 * 0.01 * 8 * 384) * (0.01 ** 2 / 4);
  expect(row(tableOf(spec, { adapter }), "ffa-lora").grown).toBeCloseTo(Math.sqrt(expected), 6);
  expect(row(tableOf(spec, { adapter }), "fedsa-lora").grown).toBeCloseTo(Math.sqrt(4 * expected), 6);
});

describe("noise on the entries", () => {
  const { cohort, training } = specOf({
    training: { batchSize: 16, gradientAccumulation: 2, optimizer: { learningRate: 0.1 } },
  });
  const sgd = { ...training, optimizer: { ...training.optimizer, kind: "sgd", momentum: 0.5 } as const };

  test("local: twice the clip norm, on each update", () => {
    expect(entryNoise({ cohort, training }, { mode: "local", clipNorm: 0.5 }, 3, 10)).toMatchObject({
      std: 3,
      concentration: 0.25,
    });
  });

  test("client: the clip norm over the cohort, on the mean", () => {
    expect(entryNoise({ cohort, training }, { mode: "client", clipNorm: 0.5 }, 3, 10)).toMatchObject({
      std: 0.375,
      concentration: 1,
    });
  });

  test("example with sgd: a random walk of the steps' noise", () => {
    const { std, concentration } = entryNoise({ cohort, training: sgd }, { mode: "example", clipNorm: 0.5 }, 3, 9);
    expect(std).toBeCloseTo((0.1 / 0.5) * ((3 * 0.5) / 32) * 3, 12);
    expect(concentration).toBe(0.25);
  });

  test("example with adamw: steps of the learning rate", () => {
    expect(entryNoise({ cohort, training }, { mode: "example", clipNorm: 0.5 }, 3, 9).std).toBeCloseTo(0.3, 12);
  });
});
