import { canonicalLayout, elementCount, fromFloat32, itemSize, layoutOf, toFloat32, toStateDict } from "@fedlora/core";
import type { RunSpecInput, StateDict, TensorLayout, TensorSpec } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileMethod } from "../compile-method.js";
import type { AggregationResult, Method, MethodDefinition, UpdateView } from "../method.js";
import { createMethodRegistry } from "../registry.js";
import { aggregateInMemory, memoryUpdate, testSpec } from "./memory.js";

/** One update for the oracle, in float64. */
export interface OracleUpdate {
  readonly weight: number;
  readonly tensors: ReadonlyMap<string, Float64Array>;
}
export interface MethodCase {
  readonly definition: MethodDefinition;
  /** As in the run spec. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What the new value of one tensor must be, by dense float64 arithmetic written apart from the method. */
  oracle(name: string, global: Float64Array, updates: readonly OracleUpdate[]): Float64Array;
}

const spec = (name: string, ...shape: number[]): TensorSpec => ({ name, dtype: "F32", shape });
/** dIn and dOut differ, ranks differ between modules, and a head has a bias: transposed shapes cannot pass. */
const layout: TensorLayout = canonicalLayout([
  spec("base_model.model.layer.0.query.lora_A.weight", 2, 5),
  spec("base_model.model.layer.0.query.lora_B.weight", 7, 2),
  spec("base_model.model.layer.1.value.lora_A.weight", 3, 6),
  spec("base_model.model.layer.1.value.lora_B.weight", 4, 3),
  spec("base_model.model.classifier.weight", 3, 4),
  spec("base_model.model.classifier.bias", 3),
]);

interface Client {
  readonly id: string;
  readonly weight: number;
  readonly tensors: StateDict;
}
const viewOf = ({ id, weight, tensors }: Client): UpdateView => memoryUpdate(id, weight, tensors);

/** Ordinary deltas, and now and then one of the whole range below what could overflow. */
const value = fc.oneof(
  { weight: 8, arbitrary: fc.float({ min: -1, max: 1, noNaN: true }) },
  { weight: 1, arbitrary: fc.float({ min: -Math.fround(1e30), max: Math.fround(1e30), noNaN: true }) },
);
const state = (element: fc.Arbitrary<number>): fc.Arbitrary<StateDict> =>
  fc
    .tuple(
      ...layout.map(({ shape }) =>
        fc.array(element, { minLength: elementCount(shape), maxLength: elementCount(shape) }),
      ),
    )
    .map((arrays) =>
      toStateDict(layout.map(({ name, shape }, i) => [name, fromFloat32(Float32Array.from(arrays[i] ?? []), shape)])),
    );
const clients = (minLength: number, element = value): fc.Arbitrary<Client[]> =>
  fc
    .array(fc.record({ weight: fc.integer({ min: 1, max: 100_000 }), tensors: state(element) }), {
      minLength,
      maxLength: 5,
    })
    .map((list) => list.map((client, i) => ({ ...client, id: `plan-${i}` })));
const plain = fc.float({ min: -1, max: 1, noNaN: true });
const zeros: StateDict = toStateDict(
  layout.map(({ name, shape }) => [name, fromFloat32(new Float32Array(elementCount(shape)), shape)]),
);

function adapterOf(result: AggregationResult): StateDict {
  if (result.kind === "refused") throw new Error(`refused: ${result.message}`);
  return result.global;
}
const bytesOf = (adapter: StateDict): Record<string, number[]> =>
  Object.fromEntries([...adapter].map(([name, { bytes }]) => [name, [...bytes]]));

/** What every method promises; see `method.ts`. Register each method: `describeMethod({ definition, ... })`. */
export function describeMethod(row: MethodCase): void {
  const { definition, options } = row;
  const registry = createMethodRegistry([definition]);
  const compile = (more: Partial<RunSpecInput> = {}): Method =>
    compileMethod(
      {
        spec: testSpec({ method: { name: definition.name, options: { ...options } }, ...more }),
        adapterLayout: layout,
        scalings: {},
      },
      registry,
    );
  const method = compile();
  const client = { clientId: "c", maxRank: undefined, ranks: undefined, directives: [], codecs: [] } as never;
  const instruct = (of: Method) => of.prepare(of.phase(of.initialState(), 1), of.initialState(), client);
  const run = (global: StateDict, list: readonly Client[], more?: Parameters<typeof aggregateInMemory>[3]): StateDict =>
    adapterOf(aggregateInMemory(method, global, list.map(viewOf), more));

  describe(`method contract: ${definition.name}: declaration`, () => {
    test("options are strict", () => {
      const withUnknown = { name: definition.name, options: { ...options, noSuchOption: 1 } };
      expect(() => compile({ method: withUnknown })).toThrow(
        expect.objectContaining({ code: "method-options-invalid", message: expect.stringContaining("noSuchOption") }),
      );
    });

    test("roles name tensors of the adapter, and every tensor reaches the client somehow", () => {
      const { roles } = instruct(method);
      expect(roles.map((role) => role.spec)).toEqual(layout);
      for (const role of roles) {
        expect(role.uploaded && !role.trained).toBe(false);
      }
    });

    test.each(["f32", "f16", "bf16"].filter((codec) => definition.capabilities.codecs.includes(codec)))(
      "intake, bytes and download agree with the roles in codec %s",
      (codec) => {
        const coded = compile({ codec });
        const instruction = instruct(coded);
        const rule = coded.intake(instruction, 3);
        const dtype = codec.toUpperCase();
        const uploaded = instruction.roles.filter((role) => role.uploaded).map((role) => ({ ...role.spec, dtype }));
        const downloaded = instruction.roles.filter((role) => role.downloaded).map((role) => role.spec);
        const size = (specs: readonly { shape: readonly number[] }[], bytes: number): number =>
          specs.reduce((sum, { shape }) => sum + bytes * elementCount(shape), 0);

        expect(rule.layout).toEqual(uploaded);
        expect(rule.requiredBaseVersion).toBe(3);
        expect(coded.bytes(instruction)).toEqual({
          down: size(downloaded, 4),
          up: size(uploaded, itemSize[dtype as "F32"]),
        });
        expect(layoutOf(coded.projectFor(instruction, zeros, coded.initialState()))).toEqual(canonicalLayout(downloaded));
      },
    );

    test("a fresh update counts in full, a stale one only where the method says so", () => {
      const rule = method.intake(instruct(method), 0);
      expect(rule.staleWeight(0)).toBe(1);
      const stale = rule.staleWeight(1);
      expect(stale > 0 && stale <= 1).toBe(definition.capabilities.toleratesStale);
    });

    test("a bias that is measured is among the metrics", () => {
      if (method.bias.kind !== "measured") return;
      const list = ["a", "b"].map((id) => ({ id, weight: 1, tensors: zeros }));
      const result = aggregateInMemory(method, zeros, list.map(viewOf));
      expect(result.kind === "adapter" && result.metrics[method.bias.metric]).toBe(0);
    });
  });

  describe(`method contract: ${definition.name}: aggregation`, () => {
    test("agrees with the dense float64 oracle for unequal weights", () => {
      fc.assert(
        fc.property(state(plain), clients(1, plain), (global, list) => {
          const dense = list.map(({ weight, tensors }) => ({
            weight,
            tensors: new Map([...tensors].map(([name, tensor]) => [name, Float64Array.from(toFloat32(tensor))])),
          }));
          const result = run(global, list);
          expect(layoutOf(result)).toEqual(layout);
          for (const [name, tensor] of result) {
            const expected = row.oracle(name, Float64Array.from(toFloat32(global.get(name)!)), dense);
            toFloat32(tensor).forEach((got, i) => expect(got).toBeCloseTo(expected[i]!, 6));
          }
        }),
        { numRuns: 50 },
      );
    });

    test("does not depend, in any bit, on the order of updates or on sharding", () => {
      const shuffled = clients(2).chain((list) =>
        fc.tuple(
          fc.constant(list),
          fc.shuffledSubarray(list, { minLength: list.length }),
          fc.integer({ min: 2, max: 4 }),
        ),
      );
      fc.assert(
        fc.property(state(value), shuffled, (global, [list, other, shards]) => {
          const expected = bytesOf(run(global, list));
          expect(bytesOf(run(global, other))).toEqual(expected);
          if (definition.capabilities.mergeable) expect(bytesOf(run(global, other, { shards }))).toEqual(expected);
        }),
        { numRuns: 50 },
      );
    });

    test("does not depend on a common factor of the weights, nor on one client counted as two halves", () => {
      fc.assert(
        fc.property(state(plain), clients(2, plain), (global, list) => {
          const sevenfold = list.map((one) => ({ ...one, weight: 7 * one.weight }));
          const even = list.map((one) => ({ ...one, weight: 2 * one.weight }));
          const halves = even.flatMap((one, i) =>
            i === 0
              ? [
                  { ...one, weight: one.weight / 2 },
                  { ...one, id: "half", weight: one.weight / 2 },
                ]
              : [one],
          );
          const expected = bytesOf(run(global, list));
          expect(bytesOf(run(global, sevenfold))).toEqual(expected);
          expect(bytesOf(run(global, halves))).toEqual(expected);
        }),
        { numRuns: 30 },
      );
    });

    test("gives one client, or several that agree, exactly its own adapter", () => {
      fc.assert(
        fc.property(state(plain), clients(1, plain), (global, [first]) => {
          const own = toStateDict(
            [...global].map(([name, tensor]) => {
              const deltas = toFloat32(first!.tensors.get(name)!);
              return [
                name,
                fromFloat32(
                  toFloat32(tensor).map((from, i) => from + deltas[i]!),
                  tensor.shape,
                ),
              ];
            }),
          );
          const agreeing = ["x", "y", "z"].map((id, k) => ({ ...first!, id, weight: first!.weight + k }));
          expect(bytesOf(run(global, [first!]))).toEqual(bytesOf(own));
          expect(bytesOf(run(global, agreeing))).toEqual(bytesOf(own));
        }),
        { numRuns: 30 },
      );
    });

    test("leaves the adapter as it is, bit by bit, when all updates are zero", () => {
      fc.assert(
        fc.property(state(fc.oneof(value, fc.constant(-0))), (global) => {
          const list = [1, 5].map((weight) => ({ id: `plan-${weight}`, weight, tensors: zeros }));
          expect(bytesOf(run(global, list))).toEqual(bytesOf(global));
        }),
        { numRuns: 30 },
      );
    });

    test("counts only contributors: an update without weight is as good as absent", () => {
      fc.assert(
        fc.property(state(plain), clients(3, plain), (global, list) => {
          const [absent, ...others] = list.map((one, i) => (i === 0 ? { ...one, weight: 0 } : one));
          expect(bytesOf(run(global, [absent!, ...others]))).toEqual(bytesOf(run(global, others)));
        }),
        { numRuns: 30 },
      );
    });

    test("remembers nothing from one round to the next but its run state, and changes no input", () => {
      fc.assert(
        fc.property(state(plain), clients(2, plain), clients(2, plain), (global, first, second) => {
          const before = bytesOf(global);
          const expected = bytesOf(adapterOf(aggregateInMemory(compile(), global, second.map(viewOf))));
          run(global, first);
          expect(bytesOf(run(global, second))).toEqual(expected);
          expect(bytesOf(global)).toEqual(before);
        }),
        { numRuns: 20 },
      );
    });

    test("refuses a round without updates, or without weight, by `round-failed`", () => {
      const weightless = [{ id: "plan-0", weight: 0, tensors: zeros }];
      for (const list of [[], weightless]) {
        expect(aggregateInMemory(method, zeros, list.map(viewOf))).toMatchObject({
          kind: "refused",
          code: "round-failed",
        });
      }
    });

    test.each(layout.map(({ name }) => name))("refuses wrong values of %s, naming update and tensor", (name) => {
      const { roles } = instruct(method);
      if (roles.find((role) => role.spec.name === name)?.uploaded !== true) return;
      const { shape } = zeros.get(name)!;
      const length = elementCount(shape);
      const broken = (code: string, tensors: StateDict): void => {
        const list = [
          { id: "good", weight: 1, tensors: zeros },
          { id: "bad", weight: 2, tensors },
        ];
        expect(() => aggregateInMemory(method, zeros, list.map(viewOf))).toThrow(
          expect.objectContaining({ code, details: expect.objectContaining({ updateId: "bad", tensor: name }) }),
        );
      };
      const replaced = (values: Float32Array): StateDict =>
        toStateDict([...zeros, [name, fromFloat32(values, [values.length])]]);
      broken("update-tensor-missing", toStateDict([...zeros].filter(([other]) => other !== name)));
      broken("update-shape", replaced(new Float32Array(length + 1)));
      for (const wrong of [NaN, Infinity, -Infinity]) {
        broken("update-not-finite", replaced(new Float32Array(length).fill(wrong, length - 1)));
      }
    });

    test("a sum is enough where the method says that it is", () => {
      if (definition.capabilities.sees !== "sum") return;
      const list = [1, 3].map((weight, k) => ({
        id: `plan-${k}`,
        weight,
        tensors: toStateDict(
          layout.map(({ name, shape }) => [name, fromFloat32(new Float32Array(elementCount(shape)).fill(k), shape)]),
        ),
      }));
      const mean = toStateDict(
        layout.map(({ name, shape }) => [name, fromFloat32(new Float32Array(elementCount(shape)).fill(0.75), shape)]),
      );
      const summed = aggregateInMemory(method, zeros, [viewOf({ id: "sum", weight: 4, tensors: mean })], {
        visible: "sum",
      });
      expect(bytesOf(adapterOf(summed))).toEqual(bytesOf(run(zeros, list)));
      if (method.bias.kind === "measured" && summed.kind === "adapter") {
        expect(summed.metrics).not.toHaveProperty(method.bias.metric);
      }
    });

    test("what it keeps and reports is plain data with finite numbers", () => {
      const result = aggregateInMemory(method, zeros, [viewOf({ id: "plan-0", weight: 2, tensors: zeros })]);
      if (result.kind === "refused") throw new Error(result.message);
      expect(structuredClone(result.state)).toEqual(result.state);
      expect(structuredClone(method.initialState())).toEqual(method.initialState());
      for (const metric of Object.values(result.metrics)) expect(Number.isFinite(metric)).toBe(true);
    });
  });
}
