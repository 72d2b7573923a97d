import { canonicalLayout, elementCount, fromFloat32, layoutOf, toStateDict } from "@fedlora/core";
import type { AdapterSpec, ClientId, RunSpecInput, StateDict, TensorLayout, TensorSpec } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileMethod } from "../compile-method.js";
import { initialisationOf } from "../init/initialisation-of.js";
import { initialisePhase } from "../init/with-initialisation.js";
import type { AggregationResult, ClientCapability, ClientInstruction, MethodRun, MethodRunState } from "../method.js";
import { aggregateInMemory, MemorySink, memoryUpdate, testSpec } from "./memory.js";
import { contractLayouts, contractScalings } from "./method-case.js";
import { filled } from "./round-fixture.js";

/** A row of the contract's table. */
export interface InitialisationCase {
  readonly init: AdapterSpec["init"];
  readonly variant: AdapterSpec["variant"];
  /** A method that allows the variant. */
  readonly method: string;
}

const client: ClientCapability = {
  clientId: "c" as ClientId,
  maxRank: undefined,
  ranks: undefined,
  directives: [],
  codecs: [],
};

/** What every initialisation promises, see `AdapterInitialisation`: the start, its own rounds, and the method after them. */
export function describeInitialisation({ init, variant, method: name }: InitialisationCase): void {
  const adapterLayout = contractLayouts[variant];
  const runOf = (more: Partial<RunSpecInput> = {}): MethodRun => ({
    spec: testSpec({
      method: { name, options: {} },
      adapter: { rank: 2, targetModules: ["query"], variant, init },
      rounds: 30,
      ...more,
    }),
    adapterLayout,
    scalings: contractScalings,
  });
  const run = runOf();
  const initialisation = initialisationOf(run);
  const count = initialisation.rounds?.count ?? 0;
  const seeded = numbered(adapterLayout, 1);
  const given = init.kind === "file" ? numbered(adapterLayout, 2) : undefined;

  describe(`initialisation contract: ${init.kind}, ${variant}: start`, () => {
    test("is exactly the run's layout, and the seeded or the given adapter", () => {
      expect(initialisation.kind).toBe(init.kind);
      const start = initialisation.start(seeded, given);
      expect(layoutOf(start)).toEqual(adapterLayout);
      expect(start).toEqual(given ?? seeded);
    });

    test("an adapter that is missing, or given to one that asks for none, is refused", () => {
      const start = () => initialisation.start(seeded, given === undefined ? seeded : undefined);
      expect(start).toThrow(expect.objectContaining({ code: "adapter-invalid" }));
    });

    test("a base delta is version 1 and written in full", () => {
      const sink = new MemorySink();
      const delta = initialisation.writeBaseDelta?.(initialisation.start(seeded, given), sink);
      if (delta === undefined) return;
      expect(delta).toEqual({ fromVersion: 0, toVersion: 1 });
      for (const tensor of sink.tensors().values()) expect(tensor.bytes.some((byte) => byte !== 0)).toBe(true);
      expect(compileMethod(run).exports(compileMethod(run).initialState())).not.toContain("peft");
    });

    test("the method begins after as many rounds as are declared", () => {
      const method = compileMethod(run);
      const plain = compileMethod(runOf({ adapter: { rank: 2, targetModules: ["query"], variant } }));
      const phases = inTurn(run, count + 1).map(({ phase }) => phase);
      expect(phases).toEqual([
        ...Array.from({ length: count }, () => initialisePhase),
        plain.phase(plain.initialState(), count + 1),
      ]);
      expect(method.clientState()).toEqual(plain.clientState());
    });
  });

  if (count === 0) return;
  const method = compileMethod(run);
  const state = method.initialState();
  const instruction = method.prepare(method.phase(state, 1), state, client);
  const uploaded = instruction.roles.filter((role) => role.uploaded).map(({ spec }) => spec);
  const sketches = (values: readonly number[]): StateDict => {
    let at = 0;
    return toStateDict(
      uploaded.map(({ name: tensor, shape }) => {
        const next = Float32Array.from({ length: elementCount(shape) }, () => values[at++ % values.length] ?? 0);
        return [tensor, fromFloat32(next, shape)] as const;
      }),
    );
  };
  const cohort = fc.array(
    fc.record({
      weight: fc.integer({ min: 1, max: 1000 }),
      values: fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 17, maxLength: 40 }),
    }),
    { minLength: 2, maxLength: 4 },
  );
  type Cohort = { weight: number; values: number[] }[];
  const updatesOf = (list: Cohort) =>
    list.map(({ weight, values }, i) => memoryUpdate(`plan-${i}`, weight, sketches(values)));
  const aggregate = (updates: ReturnType<typeof updatesOf>, shards = 1, from = state): AggregationResult =>
    aggregateInMemory(method, seeded, updates, { shards, state: from });
  const bytesOf = (result: AggregationResult): unknown =>
    result.kind === "refused" ? result.message : [...result.global].map(([tensor, { bytes }]) => [tensor, [...bytes]]);

  describe(`initialisation contract: ${init.kind}, ${variant}: rounds`, () => {
    test("clients send sketches, all of the same shapes, in f32, of their own round alone", () => {
      expect(instruction.updateForm).toBe("sketch");
      expect(instruction.roles.map(({ spec }) => spec)).toEqual(
        canonicalLayout(instruction.roles.map(({ spec }) => spec)),
      );
      expect(method.prepare(method.phase(state, 1), state, { ...client, ranks: { "layer.0.query": 1 } })).toEqual(
        instruction,
      );
      for (const codec of ["f32", "f16", "int8"]) {
        const rule = compileMethod(runOf({ codec })).intake(instruction, 0);
        expect(rule.layout).toEqual(uploaded);
        expect([rule.staleWeight(0), rule.staleWeight(1)]).toEqual([1, 0]);
      }
    });

    test("the download is what the roles say, and bytes agree", () => {
      const downloaded = instruction.roles.filter((role) => role.downloaded).map(({ spec }) => spec);
      const size = (specs: readonly TensorSpec[]): number =>
        specs.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
      expect(layoutOf(method.projectFor(instruction, seeded, state))).toEqual(downloaded);
      expect(method.bytes(instruction)).toEqual({ down: size(downloaded), up: size(uploaded) });
    });

    test("the result has the run's layout, finite values and the heads as they were", () => {
      fc.assert(
        fc.property(cohort, (list) => {
          const result = aggregate(updatesOf(list));
          if (result.kind === "refused") throw new Error(result.message);
          expect(layoutOf(result.global)).toEqual(adapterLayout);
          for (const [tensor, value] of result.global) {
            if (tensor.includes("classifier")) expect(value).toEqual(seeded.get(tensor));
            expect(new Float32Array(value.bytes.slice().buffer).every(Number.isFinite)).toBe(true);
          }
          expect(Object.values(result.metrics).every(Number.isFinite)).toBe(true);
          expect(result.baseDelta).toBeUndefined();
        }),
        { numRuns: 20 },
      );
    });

    test("neither order nor sharding changes a bit", () => {
      const shuffled = cohort.chain((list) =>
        fc.tuple(fc.constant(updatesOf(list)), fc.shuffledSubarray(updatesOf(list), { minLength: list.length })),
      );
      fc.assert(
        fc.property(shuffled, ([list, other]) => {
          const expected = bytesOf(aggregate(list));
          expect(bytesOf(aggregate(other))).toEqual(expected);
          expect(bytesOf(aggregate(other, 3))).toEqual(expected);
        }),
        { numRuns: 20 },
      );
    });

    test("sketches of zeros lead to an adapter, no sketch at all to a refusal", () => {
      expect(aggregate([memoryUpdate("a", 1, sketches([0]))]).kind).toBe("adapter");
      expect(aggregate([])).toMatchObject({ kind: "refused", code: "round-failed" });
      expect(aggregate([memoryUpdate("a", 0, sketches([1]))])).toMatchObject({ kind: "refused" });
    });

    test("a sketch that lacks a tensor is refused by update and tensor", () => {
      for (const { name: tensor } of uploaded) {
        const broken = new Map([...sketches([1])].filter(([other]) => other !== tensor));
        expect(() => aggregate([memoryUpdate("plan-x", 1, broken)])).toThrow(
          expect.objectContaining({ details: expect.objectContaining({ updateId: "plan-x", tensor }) }),
        );
      }
    });

    test("the method finds its own state when its turn comes", () => {
      const last = inTurn(run, count + 1).at(-1)!;
      const plain = compileMethod(runOf({ adapter: { rank: 2, targetModules: ["query"], variant } }));
      expect(last.instruction).toEqual(
        plain.prepare(plain.phase(plain.initialState(), count + 1), plain.initialState(), client),
      );
      expect(layoutOf(method.projectFor(last.instruction, last.global, last.state))).toEqual(
        canonicalLayout(last.instruction.roles.filter((role) => role.downloaded).map(({ spec }) => spec)),
      );
      expect(method.bytes(last.instruction)).toEqual(plain.bytes(last.instruction));
    });
  });
}

interface Turn {
  readonly phase: string;
  readonly instruction: ClientInstruction;
  readonly global: StateDict;
  readonly state: MethodRunState;
}

/** As many rounds of a run, each with one client that sends ones; the state goes through JSON, as from a journal. */
function inTurn(run: MethodRun, rounds: number): readonly Turn[] {
  let method = compileMethod(run);
  let state = method.initialState();
  let global = numbered(run.adapterLayout, 1);
  const turns: Turn[] = [];
  for (let round = 1; round <= rounds; round++) {
    const phase = method.phase(state, round);
    const instruction = method.prepare(phase, state, client);
    turns.push({ phase, instruction, global, state });
    const uploaded = instruction.roles.filter((role) => role.uploaded).map(({ spec }) => spec);
    const update = memoryUpdate("a", 1, filled(uploaded, 1), { receivedLoss: 1 });
    const result = aggregateInMemory(method, global, [update], { state, round });
    if (result.kind === "refused") throw new Error(result.message);
    method = compileMethod(run);
    state = { ...result.state, values: JSON.parse(JSON.stringify(result.state.values)) as MethodRunState["values"] };
    global = result.global;
  }
  return turns;
}

/** Values without a pattern that could hide an exchange. */
function numbered(layout: TensorLayout, seed: number): StateDict {
  let at = 0;
  return toStateDict(
    layout.map(({ name, shape }) => {
      const values = Float32Array.from({ length: elementCount(shape) }, () => Math.sin(seed * 7.7 + 1.3 * at++));
      return [name, fromFloat32(values, shape)] as const;
    }),
  );
}
