import { FedLoraError, fromFloat32, runSpecSchema, toFloat32, toStateDict } from "@fedlora/core";
import type { ClientId, RunSpec, RunSpecInput, StateDict, TensorLayout } from "@fedlora/core";
import type { AggregationInput, AggregationPass, AggregationResult, Method, UpdateView } from "../method.js";
import { runPasses } from "../run-passes.js";

export type NamedValues = Readonly<Record<string, readonly number[] | Float32Array>>;

/** An update held in memory, with every promise of `UpdateView`: the array is overwritten by the next call. */
export function memoryUpdate(id: string, weight: number, tensors: StateDict): UpdateView {
  let shared = new Float32Array(0);
  return {
    id,
    clientId: `client-${id}` as ClientId,
    weight,
    numExamples: Math.max(1, Math.round(weight)),
    tensor(name) {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw new FedLoraError("update-tensor-missing", `update "${id}" has no "${name}"`);
      const values = toFloat32(tensor);
      shared.fill(NaN);
      if (shared.length < values.length) shared = new Float32Array(values.length);
      shared.set(values);
      return shared.subarray(0, values.length);
    },
  };
}

/** F32 tensors of a layout from plain numbers, in canonical order. */
export function stateOf(layout: TensorLayout, values: NamedValues): StateDict {
  return toStateDict(
    layout.map(({ name, shape }) => [name, fromFloat32(Float32Array.from(values[name] ?? []), shape)] as const),
  );
}

/** Runs one round over updates in memory. `shards` splits the updates into as many states, merged before the seal. */
export function aggregateInMemory(
  method: Method,
  global: StateDict,
  updates: readonly UpdateView[],
  options: { readonly shards?: number; readonly visible?: AggregationInput["visible"] } = {},
): AggregationResult {
  const state = method.initialState();
  const { shards = 1, visible = "individual-updates" } = options;
  const phase = method.phase(state, 1);
  const aggregation = method.aggregate({ round: 1, phase, state, global, baseVersion: 0, visible });
  const passes = shards === 1 ? aggregation.passes : aggregation.passes.map((pass) => sharded(pass, shards));
  return runPasses({ passes, finish: (sealed) => aggregation.finish(sealed) }, (visit) => updates.forEach(visit));
}

/** Deals the updates out to separate states in turn. */
function sharded(pass: AggregationPass, shards: number): AggregationPass<{ turn: number; states: unknown[] }> {
  return {
    name: pass.name,
    groups: pass.groups,
    init: (group) => ({ turn: 0, states: Array.from({ length: shards }, () => pass.init(group)) }),
    fold(state, update, group) {
      pass.fold(state.states[state.turn++ % shards], update, group);
    },
    merge(into, other) {
      into.states.forEach((state, i) => pass.merge(state, other.states[i]));
    },
    seal({ states: [first, ...others] }, group) {
      for (const other of others) pass.merge(first, other);
      return pass.seal(first, group);
    },
    stateBytes: (group) => shards * pass.stateBytes(group),
  };
}

/** A complete run spec for tests; `more` replaces top-level fields. */
export function testSpec(more: Partial<RunSpecInput> = {}): RunSpec {
  return runSpecSchema.parse({
    name: "test",
    model: { hash: "0".repeat(64) },
    task: { kind: "sequence-classification", labels: ["ham", "spam"] },
    adapter: { rank: 2, targetModules: ["query"] },
    rounds: 1,
    cohort: { size: 2 },
    ...more,
  });
}
