import { canonicalLayout, toFloat32 } from "@fedlora/core";
import type { RunSpecInput, StateDict, TensorLayout } from "@fedlora/core";
import { compileMethod } from "../compile-method.js";
import type { AggregationResult, Method, MethodDefinition, UpdateView } from "../method.js";
import { createMethodRegistry } from "../registry.js";
import { aggregateInMemory, memoryUpdate, stateOf, testSpec } from "./memory.js";
import type { InMemoryOptions } from "./memory.js";

/** One adapted module, `m`. */
export const nameA = "base_model.model.m.lora_A.weight";
export const nameB = "base_model.model.m.lora_B.weight";

export interface FactorValues {
  readonly a?: readonly number[];
  readonly b?: readonly number[];
}
export interface FactorUpdate extends FactorValues {
  readonly weight?: number;
  /** Of the client, where it is less than the adapter's. */
  readonly rank?: number;
  readonly receivedLoss?: number;
}

export function oneModule(dOut: number, rank: number, dIn: number): TensorLayout {
  return canonicalLayout([
    { name: nameA, dtype: "F32", shape: [rank, dIn] },
    { name: nameB, dtype: "F32", shape: [dOut, rank] },
  ]);
}

export function compileOn(
  layout: TensorLayout,
  definition: MethodDefinition,
  options: Readonly<Record<string, unknown>> = {},
  spec: Partial<RunSpecInput> = {},
): Method {
  const weighting = { kind: definition.capabilities.weightings[0] ?? "uniform" };
  const run = testSpec({ method: { name: definition.name, options: { ...options } }, weighting, ...spec });
  const registry = createMethodRegistry([definition]);
  return compileMethod({ spec: run, adapterLayout: layout, scalings: { m: 2 } }, registry);
}

export function factors(layout: TensorLayout, { a, b }: FactorValues): StateDict {
  const present = layout.filter(({ name }) => (name === nameA ? a : b) !== undefined);
  return stateOf(present, { ...(a && { [nameA]: a }), ...(b && { [nameB]: b }) });
}

/** Ids in the order of the list. */
export function updatesOn(layout: TensorLayout, list: readonly FactorUpdate[]): UpdateView[] {
  return list.map(({ weight = 1, rank, receivedLoss, ...values }, k) => {
    const own = layout.map((spec) => {
      const [rows = 1, columns = 1] = spec.shape;
      const shape = spec.name === nameA ? [rank ?? rows, columns] : [rows, rank ?? columns];
      return { ...spec, shape };
    });
    return memoryUpdate(`plan-${k}`, weight, factors(own, values), { receivedLoss });
  });
}

/** A round's result, which must not be a refusal. */
export function roundOn(
  method: Method,
  layout: TensorLayout,
  global: FactorValues,
  list: readonly FactorUpdate[],
  options: InMemoryOptions = {},
): Extract<AggregationResult, { kind: "adapter" }> {
  const result = aggregateInMemory(method, factors(layout, global), updatesOn(layout, list), options);
  if (result.kind === "refused") throw new Error(result.message);
  return result;
}

export const valuesOf = (adapter: StateDict, name: string): number[] => [...toFloat32(adapter.get(name)!)];

/**
 * Two clients of one module, 2 x 2 of rank 1, weights 1 and 3, from an adapter of zeros: computed by hand and checked in
 * Python's float64.
 */
export const twoClients = {
  layout: oneModule(2, 1, 2),
  global: { a: [0, 0], b: [0, 0] },
  updates: [
    { weight: 1, a: [2, 0], b: [1, 0] },
    { weight: 3, a: [0, 4], b: [0, 1] },
  ],
} as const;
