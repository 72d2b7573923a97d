import { canonicalLayout, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { RunSpecInput, StateDict, TensorLayout } from "@fedlora/core";
import { compileMethod } from "../compile-method.js";
import type { AggregationResult, Method } from "../method.js";
import { deltaOf, dense, denseState, plus, product, productOf, times } from "./dense.js";
import type { Dense } from "./dense.js";
import { aggregateInMemory, memoryUpdate, MemorySink, testSpec } from "./memory.js";
import type { InMemoryOptions } from "./memory.js";

export const nameA = "base_model.model.m.lora_A.weight";
export const nameB = "base_model.model.m.lora_B.weight";

/** What a client changed in the only module `m`: A [rank, dIn] and B [dOut, rank], row-major. */
export interface FactorClient {
  readonly weight: number;
  /** Default: the adapter's. */
  readonly rank?: number;
  readonly a: readonly number[] | Float32Array;
  readonly b: readonly number[] | Float32Array;
}

export interface ProductRun {
  readonly method: string;
  readonly options?: Readonly<Record<string, unknown>> | undefined;
  readonly dOut: number;
  readonly rank: number;
  readonly dIn: number;
  /** Default 1. */
  readonly scaling?: number;
  readonly spec?: Partial<RunSpecInput>;
  /** Default: zeros. */
  readonly global?: Pick<FactorClient, "a" | "b">;
}

export interface ProductOutcome {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly delta: StateDict;
  readonly metrics: Readonly<Record<string, number>>;
  readonly result: Extract<AggregationResult, { kind: "adapter" }>;
  /** What is added to the base weight [dOut, dIn] in all: base delta and scaled adapter. */
  readonly weight: Dense;
}

export function productMethod({ method: name, options = {}, spec, scaling = 1, ...sizes }: ProductRun): Method {
  return compileMethod({
    spec: testSpec({ method: { name, options: { ...options } }, ...spec }),
    adapterLayout: layoutOf(sizes.dOut, sizes.rank, sizes.dIn),
    scalings: { m: scaling },
  });
}

/** One round of a method on a single module. */
export function productRound(
  run: ProductRun,
  clients: readonly FactorClient[],
  more: InMemoryOptions = {},
): ProductOutcome {
  const { dOut, rank, dIn, scaling = 1 } = run;
  const sink = new MemorySink();
  const updates = clients.map(({ weight, a, b, rank: own = rank }, k) =>
    memoryUpdate(String(k).padStart(3, "0"), weight, factorsOf(layoutOf(dOut, own, dIn), { a, b })),
  );
  const { global = { a: new Float32Array(rank * dIn), b: new Float32Array(dOut * rank) } } = run;
  const start = factorsOf(layoutOf(dOut, rank, dIn), global);
  const result = aggregateInMemory(productMethod(run), start, updates, { sink, ...more });
  if (result.kind === "refused") throw new Error(`refused: ${result.message}`);
  const delta: StateDict = result.baseDelta === undefined ? new Map() : sink.tensors();
  const own = times(scaling, productOf(denseState(result.global), "m")!);
  const change = deltaOf(denseState(delta), "m");
  const { metrics } = result;
  const [a, b] = [toFloat32(result.global.get(nameA)!), toFloat32(result.global.get(nameB)!)];
  return { a, b, delta, metrics, result, weight: change === undefined ? own : plus(own, change) };
}

/** scaling * sum_k p_k B_k A_k for clients that changed zeros, or `global`. */
export function meanProduct(
  { dOut, rank, dIn, scaling = 1, global }: ProductRun,
  clients: readonly FactorClient[],
): Dense {
  const total = clients.reduce((sum, { weight }) => sum + weight, 0);
  return clients
    .map(({ weight, a, b, rank: own = rank }) => {
      const left = dense(dOut, own, (i, q) => b[i * own + q]! + (global?.b[i * rank + q] ?? 0));
      const right = dense(own, dIn, (q, j) => a[q * dIn + j]! + (global?.a[q * dIn + j] ?? 0));
      return times((scaling * weight) / total, product(left, right));
    })
    .reduce(plus);
}

/** Largest difference, relative to the largest entry of what is expected. */
export function relativeDifference(actual: Dense, expected: Dense): number {
  const largest = Math.max(...expected.values.map(Math.abs));
  return Math.max(...actual.values.map((value, i) => Math.abs(value - expected.values[i]!))) / largest;
}

/** Reproducible values in (-1, 1) by a linear congruential generator, as float32. */
export function numbers(count: number, seed: number): Float32Array {
  let bits = (seed * 7919 + 1) | 0;
  return Float32Array.from({ length: count }, () => {
    bits = (Math.imul(bits, 1664525) + 1013904223) | 0;
    return bits / 2 ** 31;
  });
}

/** Clients of unequal weights; `rankOf` gives each its rank. */
export function randomClients(
  { dOut, dIn }: Pick<ProductRun, "dOut" | "dIn">,
  count: number,
  rankOf: (k: number) => number,
): FactorClient[] {
  return Array.from({ length: count }, (_, k) => {
    const rank = rankOf(k);
    return {
      weight: 1 + ((37 * k) % 101),
      rank,
      a: numbers(rank * dIn, 2 * k + 1),
      b: numbers(dOut * rank, 2 * k + 2),
    };
  });
}

function layoutOf(dOut: number, rank: number, dIn: number): TensorLayout {
  return canonicalLayout([
    { name: nameA, dtype: "F32", shape: [rank, dIn] },
    { name: nameB, dtype: "F32", shape: [dOut, rank] },
  ]);
}

function factorsOf(layout: TensorLayout, { a, b }: Pick<FactorClient, "a" | "b">): StateDict {
  return toStateDict(
    layout.map(({ name, shape }) => [name, fromFloat32(Float32Array.from(name === nameA ? a : b), shape)] as const),
  );
}
