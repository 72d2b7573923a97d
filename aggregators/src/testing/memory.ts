import { elementCount, FedLoraError, fromFloat32, runSpecSchema, toFloat32, toStateDict } from "@fedlora/core";
import type { ClientId, RunSpec, RunSpecInput, StateDict, TensorLayout } from "@fedlora/core";
import type {
  Aggregation,
  AggregationInput,
  AggregationPass,
  AggregationResult,
  Method,
  MethodRunState,
  TensorSink,
  UpdateView,
} from "../method.js";
import { runPasses } from "../run-passes.js";

export type NamedValues = Readonly<Record<string, readonly number[] | Float32Array>>;

/**
 * An update held in memory, with every promise of `UpdateView`: the array is overwritten by the next call.
 *
 * @param more replaces what follows from the weight and the id
 */
export function memoryUpdate(
  id: string,
  weight: number,
  tensors: StateDict,
  more: Partial<Pick<UpdateView, "clientId" | "numExamples" | "numSteps" | "staleness" | "receivedLoss">> = {},
): UpdateView {
  let shared = new Float32Array(0);
  return {
    id,
    clientId: `client-${id}` as ClientId,
    weight,
    numExamples: Math.max(1, Math.round(weight)),
    numSteps: 1,
    staleness: 0,
    receivedLoss: undefined,
    ...more,
    shape: (name) => tensors.get(name)?.shape,
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

/** Holds what is written to it, as a file would. */
export class MemorySink implements TensorSink {
  readonly #values = new Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>();

  open(layout: TensorLayout): void {
    for (const { name, shape } of layout) {
      this.#values.set(name, { shape, data: new Float32Array(elementCount(shape)).fill(NaN) });
    }
  }

  write(name: string, values: Float32Array, at = 0): void {
    const tensor = this.#values.get(name);
    if (tensor === undefined) throw new Error(`the sink was not opened for "${name}"`);
    tensor.data.set(values, at);
  }

  tensors(): StateDict {
    return toStateDict([...this.#values].map(([name, { shape, data }]) => [name, fromFloat32(data, shape)] as const));
  }
}

export interface InMemoryOptions {
  readonly shards?: number;
  readonly visible?: AggregationInput["visible"];
  readonly round?: number;
  /** Default: the method's initial state. */
  readonly state?: MethodRunState;
  readonly sink?: TensorSink;
  readonly baseVersion?: number;
  readonly serverStep?: AggregationInput["serverStep"];
}

/** Runs one round over updates in memory. `shards` splits the updates into as many states, merged before the seal. */
export function aggregateInMemory(
  method: Method,
  global: StateDict,
  updates: readonly UpdateView[],
  options: InMemoryOptions = {},
): AggregationResult {
  const { shards = 1, visible = "individual-updates", round = 1, state = method.initialState() } = options;
  const { sink = new MemorySink(), baseVersion = 0, serverStep } = options;
  const phase = method.phase(state, round);
  const aggregation = method.aggregate({ round, phase, state, global, baseVersion, visible, sink, serverStep });
  return runPasses(inShards(aggregation, shards), (visit) => updates.forEach(visit));
}

function inShards(aggregation: Aggregation, shards: number): Aggregation {
  if (shards === 1) return aggregation;
  return {
    passes: aggregation.passes.map((pass) => sharded(pass, shards)),
    finish: (sealed) => {
      const result = aggregation.finish(sealed);
      return result.kind === "continue" ? { kind: "continue", next: inShards(result.next, shards) } : result;
    },
  };
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
