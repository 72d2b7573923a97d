import {
  elementCount,
  firstNonFinite,
  fromFloat32,
  isControlTensor,
  layoutOf,
  tensorKindOf,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { denseState } from "./dense.js";
import type { DenseState } from "./dense.js";
import { bytesOf, extreme, ordinary } from "./round-fixture.js";
import type { Outcome, RoundFixture, SampleClient } from "./round-fixture.js";
import type { ExceptableProperty } from "./method-case.js";

/** That a method computes what its oracle does, and depends on nothing that it must not. */
export function describeAggregation(fixture: RoundFixture, title: string): void {
  const { row, method, layout, zeros, minUpdates } = fixture;
  const { capabilities } = row.definition;
  const tolerance = row.tolerance ?? 1e-6;
  const holds = (property: ExceptableProperty): boolean => row.except?.[property] === undefined;
  const element = holds("extreme-values") ? extreme : ordinary;
  const evenList = (count: number, value: number): SampleClient[] =>
    Array.from({ length: Math.max(count, minUpdates) }, (_, k) => fixture.even(`plan-${k}`, 1 + 2 * k, value));

  /** Bit by bit, or in the effective weights where a row says that bits differ. */
  const expectSame = (actual: Outcome, expected: Pick<Outcome, "global" | "delta">): void => {
    if (holds("bits")) {
      expect(bytesOf(actual.global)).toEqual(bytesOf(expected.global));
      expect(bytesOf(actual.delta)).toEqual(bytesOf(expected.delta));
    } else {
      expectClose(fixture.effective(actual), fixture.effective(expected), tolerance);
    }
  };
  const unchanged = (global: StateDict): Pick<Outcome, "global" | "delta"> => ({ global, delta: new Map() });

  describe(`${title}: aggregation`, () => {
    test("agrees with the dense float64 oracle for unequal weights", () => {
      fc.assert(
        fc.property(fixture.globals(), fixture.clients(1), (global, list) => {
          const outcome = fixture.run(global, list);
          expect(layoutOf(outcome.global)).toEqual(layout);
          const { tensors, weights } = row.oracle(fixture.oracleRound(global, list));
          expect((tensors?.size ?? 0) + (weights?.size ?? 0)).toBeGreaterThan(0);
          if (tensors !== undefined) expectClose(denseState(outcome.global), tensors, tolerance);
          if (weights !== undefined) expectClose(fixture.effective(outcome), weights, tolerance);
        }),
        { numRuns: 25 },
      );
    });

    test("G14: does not depend, in any bit, on the order of updates or on sharding", () => {
      const shuffled = fixture
        .clients(2, element)
        .chain((list) =>
          fc.tuple(
            fc.constant(list),
            fc.shuffledSubarray(list, { minLength: list.length }),
            fc.integer({ min: 2, max: 4 }),
          ),
        );
      fc.assert(
        fc.property(fixture.globals(element), shuffled, (global, [list, other, shards]) => {
          const expected = allOf(fixture.run(global, list));
          expect(allOf(fixture.run(global, other))).toEqual(expected);
          if (capabilities.mergeable) expect(allOf(fixture.run(global, other, { shards }))).toEqual(expected);
        }),
        { numRuns: 25 },
      );
    });

    if (holds("common-factor")) {
      test("G14: does not depend on a common factor of the weights", () => {
        fc.assert(
          fc.property(fixture.globals(), fixture.clients(2), (global, list) => {
            const sevenfold = list.map((one) => ({ ...one, weight: 7 * one.weight }));
            expectSame(fixture.run(global, sevenfold), fixture.run(global, list));
          }),
          { numRuns: 20 },
        );
      });
    }

    if (holds("split-client")) {
      test("G15: counts one client as much as two of half its weight", () => {
        fc.assert(
          fc.property(fixture.globals(), fixture.clients(2), (global, list) => {
            const even = list.map((one) => ({ ...one, weight: 2 * one.weight }));
            const [first, ...others] = even;
            const half = { ...first!, weight: first!.weight / 2 };
            expectSame(fixture.run(global, [half, { ...half, id: "half" }, ...others]), fixture.run(global, even));
          }),
          { numRuns: 20 },
        );
      });
    }

    if (holds("own-adapter")) {
      test("G12, G13: gives one client, or several that agree, exactly its own adapter", () => {
        fc.assert(
          fc.property(fixture.globals(), fixture.clients(1, ordinary, [undefined]), (global, [first]) => {
            const own = unchanged(fixture.ownAdapter(global, first!));
            const agreeing = Array.from({ length: Math.max(3, minUpdates) }, (_, k) => ({
              ...first!,
              id: `agreeing-${k}`,
              weight: first!.weight + k,
            }));
            if (minUpdates === 1) expectSame(fixture.run(global, [first!]), own);
            expectSame(fixture.run(global, agreeing), own);
          }),
          { numRuns: 20 },
        );
      });
    }

    if (capabilities.exact && holds("own-adapter")) {
      test("gives the mean of the clients' effective weights", () => {
        fc.assert(
          fc.property(fixture.globals(), fixture.clients(2, ordinary, [undefined]), (global, list) => {
            expectClose(fixture.effective(fixture.run(global, list)), fixture.meanOfModels(global, list), tolerance);
          }),
          { numRuns: 20 },
        );
      });
    }

    if (holds("zero-updates")) {
      test("leaves the adapter as it is when all updates are zero", () => {
        fc.assert(
          fc.property(fixture.globals(fc.oneof(element, fc.constant(-0))), (global) => {
            expectSame(fixture.run(global, evenList(2, 0)), unchanged(global));
          }),
          { numRuns: 20 },
        );
      });
    }

    if (holds("weightless")) {
      test("G14: counts only contributors: an update without weight is as good as absent", () => {
        fc.assert(
          fc.property(fixture.globals(), fixture.clients(minUpdates + 2), (global, [first, ...others]) => {
            const absent = { ...first!, weight: 0 };
            expectSame(fixture.run(global, [absent, ...others]), fixture.run(global, others));
          }),
          { numRuns: 20 },
        );
      });
    }

    test("G14: remembers nothing from one round to the next but its run state, and changes no input", () => {
      fc.assert(
        fc.property(fixture.globals(), fixture.clients(2), fixture.clients(2), (global, first, second) => {
          const before = bytesOf(global);
          const expected = allOf(fixture.run(global, second, {}, fixture.compile()));
          fixture.run(global, first);
          expect(allOf(fixture.run(global, second))).toEqual(expected);
          expect(bytesOf(global)).toEqual(before);
        }),
        { numRuns: 20 },
      );
    });

    test("refuses a round without updates, or without weight, by `round-failed`", () => {
      const weightless = evenList(1, 0).map((one) => ({ ...one, weight: 0 }));
      for (const list of [[], weightless]) {
        const views = list.map((one) => fixture.viewOf(one));
        expect(fixture.aggregate(zeros, views)).toMatchObject({ kind: "refused", code: "round-failed" });
      }
    });

    test.each(fixture.uploaded().map(({ name }) => name))(
      "refuses wrong values of %s, naming update and tensor",
      (name) => {
        const bad = fixture.even("bad", 2, 0);
        const right = fixture.tensorsOf(bad);
        const length = elementCount(right.get(name)!.shape);
        const broken = (code: string, tensors: StateDict): void => {
          const views = [...evenList(1, 0).map((one) => fixture.viewOf(one)), fixture.viewOf(bad, tensors)];
          expect(() => fixture.aggregate(zeros, views)).toThrow(
            expect.objectContaining({ code, details: expect.objectContaining({ updateId: "bad", tensor: name }) }),
          );
        };
        const replaced = (values: Float32Array): StateDict =>
          toStateDict([...right, [name, fromFloat32(values, [values.length])]]);
        if (!isControlTensor(name) && (holds("missing-factor") || tensorKindOf(name) === "head")) {
          broken("update-tensor-missing", toStateDict([...right].filter(([other]) => other !== name)));
        }
        broken("update-shape", replaced(new Float32Array(length + 1)));
        for (const wrong of [NaN, Infinity, -Infinity]) {
          const shape = right.get(name)!.shape;
          const values = new Float32Array(length).fill(wrong, length - 1);
          broken("update-not-finite", toStateDict([...right, [name, fromFloat32(values, shape)]]));
        }
      },
    );

    test("a sum is enough where the method says that it is", () => {
      if (capabilities.sees !== "sum" || !holds("sums")) return;
      const list = [fixture.even("plan-0", 1, 0), fixture.even("plan-1", 3, 1)];
      const summed = fixture.run(zeros, [fixture.even("sum", 4, 0.75)], { visible: "sum" });
      expect(bytesOf(summed.global)).toEqual(bytesOf(fixture.run(zeros, list).global));
      if (method.bias.kind === "measured") expect(summed.metrics).not.toHaveProperty(method.bias.metric);
    });

    if (capabilities.serverOptimizers && holds("server-step")) {
      test("sends what the server optimizer makes of the aggregate, of all tensors that were uploaded", () => {
        const received: StateDict[] = [];
        const serverStep = (aggregated: StateDict): StateDict => {
          received.push(aggregated);
          return toStateDict(
            [...aggregated].map(([name, tensor]) => {
              const values = toFloat32(tensor).map((x) => x / 2 + 1);
              return [name, fromFloat32(values, tensor.shape)] as const;
            }),
          );
        };
        const list = evenList(2, 0.5);
        const before = fixture.run(zeros, list);
        const { global } = fixture.run(zeros, list, { serverStep });
        const names = fixture.uploaded().flatMap(({ name }) => (isControlTensor(name) ? [] : [name]));
        expect(received.map((aggregated) => [...aggregated.keys()])).toEqual([names]);
        for (const name of names) {
          expect([...toFloat32(received[0]!.get(name)!)]).toEqual([...toFloat32(before.global.get(name)!)]);
          const stepped = toFloat32(before.global.get(name)!).map((x) => x / 2 + 1);
          expect([...toFloat32(global.get(name)!)]).toEqual([...stepped]);
        }
      });
    }

    test("edits the base only where it says so, from the version that it was given to the next", () => {
      const views = evenList(2, 0.5).map((one) => fixture.viewOf(one));
      const result = fixture.aggregate(filledWith(zeros, 0.25), views, { baseVersion: 4 });
      if (result.kind === "refused") throw new Error(result.message);
      if (!capabilities.editsBase) expect(result.baseDelta).toBeUndefined();
      else if (result.baseDelta !== undefined) expect(result.baseDelta).toEqual({ fromVersion: 4, toVersion: 5 });
    });

    test("what it sends, keeps and reports is plain data with finite numbers", () => {
      const outcome = fixture.run(filledWith(zeros, 0.25), evenList(1, 0.5));
      expect(structuredClone(outcome.state)).toEqual(outcome.state);
      expect(structuredClone(method.initialState())).toEqual(method.initialState());
      for (const metric of Object.values(outcome.metrics)) expect(Number.isFinite(metric)).toBe(true);
      for (const tensor of [...outcome.global.values(), ...outcome.delta.values()]) {
        expect(firstNonFinite(tensor)).toBe(-1);
      }
    });
  });
}

/** Everything that must not depend on order. */
const allOf = ({ global, delta, state, metrics }: Outcome): unknown => ({
  global: bytesOf(global),
  delta: bytesOf(delta),
  state: { ...state, tensors: bytesOf(state.tensors) },
  metrics,
});

function filledWith(state: StateDict, value: number): StateDict {
  return toStateDict(
    [...state].map(([name, { shape }]) => [
      name,
      fromFloat32(new Float32Array(elementCount(shape)).fill(value), shape),
    ]),
  );
}

function expectClose(actual: DenseState, expected: DenseState, tolerance: number): void {
  for (const [name, { rows, columns, values }] of expected) {
    const got = actual.get(name);
    expect([name, got?.rows, got?.columns]).toEqual([name, rows, columns]);
    const allowed = tolerance * Math.max(1, ...values.map(Math.abs));
    values.forEach((value, i) => {
      const difference = Math.abs(got!.values[i]! - value);
      if (!(difference <= allowed)) {
        expect.fail(`${name}[${i}] is ${got!.values[i]}, expected ${value}, off by ${difference}, allowed ${allowed}`);
      }
    });
  }
}
