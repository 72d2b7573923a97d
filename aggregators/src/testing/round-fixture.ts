import { codecOf, elementCount, fromFloat32, tensorKindOf, toFloat32, toStateDict } from "@fedlora/core";
import type { ClientId, RunSpecInput, StateDict, TensorLayout } from "@fedlora/core";
import fc from "fast-check";
import { compileMethod } from "../compile-method.js";
import type {
  AggregationResult,
  ClientCapability,
  ClientInstruction,
  Method,
  MethodRunState,
  UpdateView,
} from "../method.js";
import { createMethodRegistry } from "../registry.js";
import { deltaOf, denseState, modulesOf, plus, productOf, times, weightedMean } from "./dense.js";
import type { Dense, DenseState } from "./dense.js";
import { aggregateInMemory, memoryUpdate, MemorySink, testSpec } from "./memory.js";
import type { InMemoryOptions } from "./memory.js";
import { contractLayouts, contractScalings } from "./method-case.js";
import type { MethodCase, OracleRound } from "./method-case.js";

/** One client of a drawn round. `values` are as many as the adapter or an update has; a client with less uses the first. */
export interface SampleClient {
  readonly id: string;
  readonly weight: number;
  readonly ranks: ClientCapability["ranks"];
  readonly values: Float32Array;
  readonly receivedLoss: number;
}

/** A round's result, with what went to the sink. */
export interface Outcome {
  readonly global: StateDict;
  /** Tensors of the base delta; empty: none. */
  readonly delta: StateDict;
  readonly state: MethodRunState;
  readonly metrics: Readonly<Record<string, number>>;
}

export const ordinary = fc.float({ min: -1, max: 1, noNaN: true });
/** Ordinary deltas, and now and then one of the whole range below what could overflow. */
export const extreme = fc.oneof(
  { weight: 8, arbitrary: ordinary },
  { weight: 1, arbitrary: fc.float({ min: -Math.fround(1e30), max: Math.fround(1e30), noNaN: true }) },
);

/** A row of the contract's table, made ready to run rounds. */
export class RoundFixture {
  readonly row: MethodCase;
  readonly layout: TensorLayout;
  readonly method: Method;
  readonly state: MethodRunState;
  readonly round: number;
  readonly minUpdates: number;
  readonly zeros: StateDict;
  readonly #instructions = new Map<ClientCapability["ranks"], ClientInstruction>();

  constructor(row: MethodCase) {
    this.row = row;
    this.layout = row.layout ?? contractLayouts[row.spec?.adapter?.variant ?? "lora"];
    this.method = this.compile();
    this.state = row.state?.(this.method) ?? this.method.initialState();
    this.round = row.round ?? 1;
    this.minUpdates = row.minUpdates ?? 1;
    this.zeros = filled(this.layout, 0);
  }

  /** The method for a run spec that it allows, but for `more`. */
  compile(more: Partial<RunSpecInput> = {}): Method {
    const { definition, options, spec, ranks } = this.row;
    const run = {
      spec: testSpec({
        method: { name: definition.name, options: { ...options } },
        ...(definition.capabilities.weightings.includes("by-examples") ? {} : { weighting: { kind: "uniform" } }),
        ...(ranks === undefined ? {} : { rankPlan: { kind: "capability" } }),
        ...spec,
        ...more,
      }),
      adapterLayout: this.layout,
      scalings: contractScalings,
    };
    return compileMethod(run, createMethodRegistry([definition]));
  }

  /** What a client of these ranks is told in the row's round. */
  instruct(ranks?: ClientCapability["ranks"], method = this.method): ClientInstruction {
    const client = { clientId: "c" as ClientId, maxRank: undefined, ranks, directives: [], codecs: [] };
    const prepare = (): ClientInstruction => method.prepare(method.phase(this.state, this.round), this.state, client);
    if (method !== this.method) return prepare();
    const known = this.#instructions.get(ranks) ?? prepare();
    this.#instructions.set(ranks, known);
    return known;
  }

  uploaded(ranks?: ClientCapability["ranks"]): TensorLayout {
    return this.instruct(ranks)
      .roles.filter((role) => role.uploaded)
      .map((role) => role.spec);
  }

  globals(element = ordinary): fc.Arbitrary<StateDict> {
    return this.#values(element).map((values) => cut(this.layout, values));
  }

  /** @param ranks default: the row's */
  clients(
    minLength: number,
    element = ordinary,
    ranks: MethodCase["ranks"] = this.row.ranks,
  ): fc.Arbitrary<SampleClient[]> {
    const client = fc.record({
      weight: fc.integer({ min: 1, max: 100_000 }),
      ranks: fc.constantFrom(...(ranks ?? [undefined])),
      values: this.#values(element),
      receivedLoss: fc.double({ min: 0.01, max: 10, noNaN: true }),
    });
    const least = Math.max(minLength, this.minUpdates);
    return fc
      .array(client, { minLength: least, maxLength: Math.max(5, least) })
      .map((list) => list.map((one, i) => ({ ...one, id: `plan-${i}` })));
  }

  /** A full-rank client of this id whose values are all the same. */
  even(id: string, weight: number, value: number): SampleClient {
    const values = new Float32Array(this.#count).fill(value);
    return { id, weight, ranks: undefined, values, receivedLoss: 1 };
  }

  tensorsOf({ ranks, values }: SampleClient): StateDict {
    return cut(this.uploaded(ranks), values);
  }

  viewOf(client: SampleClient, tensors = this.tensorsOf(client)): UpdateView {
    const { id, weight, ranks, receivedLoss } = client;
    const asked = this.instruct(ranks).directives.some(({ kind }) => kind === "received-loss");
    return memoryUpdate(id, weight, tensors, { receivedLoss: asked ? receivedLoss : undefined });
  }

  aggregate(
    global: StateDict,
    updates: readonly UpdateView[],
    options: InMemoryOptions = {},
    method = this.method,
  ): AggregationResult {
    return aggregateInMemory(method, global, updates, { round: this.round, state: this.state, ...options });
  }

  run(global: StateDict, clients: readonly SampleClient[], options: InMemoryOptions = {}, method?: Method): Outcome {
    const sink = new MemorySink();
    const views = clients.map((client) => this.viewOf(client));
    const result = this.aggregate(global, views, { ...options, sink }, method);
    if (result.kind === "refused") throw new Error(`refused: ${result.message}`);
    const delta: StateDict = result.baseDelta === undefined ? new Map() : sink.tensors();
    return { global: result.global, delta, state: result.state, metrics: result.metrics };
  }

  oracleRound(global: StateDict, clients: readonly SampleClient[]): OracleRound {
    const updates = clients.map((client) => {
      const { id, clientId, weight, numExamples, numSteps, receivedLoss } = this.viewOf(client);
      const tensors = denseState(this.tensorsOf(client));
      return { id, clientId, weight, numExamples, numSteps, receivedLoss, tensors };
    });
    const { layout } = this;
    const scaling = (module: string): number => contractScalings[module] ?? 1;
    return { global: denseState(global), updates, layout, modules: modulesOf(layout), scaling };
  }

  /** What an outcome adds to each module's base weight, and the values of its heads. */
  effective({ global, delta }: Pick<Outcome, "global" | "delta">): DenseState {
    const plain = denseState(this.method.toPlainLora?.(global, this.state) ?? global);
    const written = denseState(delta);
    const modules = modulesOf(this.layout).map((module): [string, Dense] => {
      const own = productOf(plain, module);
      if (own === undefined) throw new Error(`the adapter lacks factors of "${module}"`);
      const scaled = times(contractScalings[module] ?? 1, own);
      const change = deltaOf(written, module);
      return [module, change === undefined ? scaled : plus(scaled, change)];
    });
    return new Map([...modules, ...[...plain].filter(([name]) => tensorKindOf(name) === "head")]);
  }

  /** The adapter that a full-rank client holds after training. */
  ownAdapter(global: StateDict, client: SampleClient): StateDict {
    const { updateForm } = this.instruct();
    const sent = [...this.tensorsOf(client)].filter(([name]) => global.has(name));
    const changed = sent.map(([name, { shape, bytes, dtype }]) => {
      const values = toFloat32({ shape, bytes, dtype });
      const from = toFloat32(global.get(name)!);
      // A change of zero leaves -0 what it is.
      const moved = values.map((x, i) => (x === 0 ? from[i]! : from[i]! + x));
      return [name, fromFloat32(updateForm === "value" ? values : moved, shape)] as const;
    });
    return toStateDict([...global, ...changed]);
  }

  /** The mean, by weight, of the effective weights and heads of full-rank clients after training. */
  meanOfModels(global: StateDict, clients: readonly SampleClient[]): DenseState {
    const models = clients.map((client) => ({
      weight: client.weight,
      model: this.effective({ global: this.ownAdapter(global, client), delta: new Map() }),
    }));
    const names = [...(models[0]?.model.keys() ?? [])];
    return new Map(
      names.map((name) => [
        name,
        weightedMean(models.map(({ weight, model }) => ({ weight, matrix: model.get(name)! }))),
      ]),
    );
  }

  encoded(layout: TensorLayout, codec: string): TensorLayout {
    return codecOf(codec).encodedLayout(layout);
  }

  /** Values of the adapter, or of an update where that holds more (control variates). */
  get #count(): number {
    return Math.max(total(this.layout), total(this.uploaded()));
  }

  #values(element: fc.Arbitrary<number>): fc.Arbitrary<Float32Array> {
    const count = this.#count;
    return fc.array(element, { minLength: count, maxLength: count }).map((values) => Float32Array.from(values));
  }
}

export function filled(layout: TensorLayout, value: number): StateDict {
  return cut(layout, new Float32Array(total(layout)).fill(value));
}

export function bytesOf(state: StateDict): Record<string, number[]> {
  return Object.fromEntries([...state].map(([name, { bytes }]) => [name, [...bytes]]));
}

function total(layout: TensorLayout): number {
  return layout.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/** The first values as the tensors of a layout, one after the other. */
function cut(layout: TensorLayout, values: Float32Array): StateDict {
  let at = 0;
  return toStateDict(
    layout.map(({ name, shape }) => {
      const end = at + elementCount(shape);
      const tensor = fromFloat32(values.slice(at, end), shape);
      at = end;
      return [name, tensor] as const;
    }),
  );
}
