import { canonicalLayout, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { StateDict, TensorLayout } from "@fedlora/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { AggregationPass, UpdateView } from "../method.js";
import { runPasses } from "../run-passes.js";
import { memoryUpdate } from "../testing/memory.js";
import { adapterGroups } from "./adapter-groups.js";
import { leadingBlocks } from "./method-parts.js";
import { ownerMeanPass } from "./owner-mean.js";
import { weightedMeanPass } from "./weighted-mean.js";
import type { WeightedMean } from "./weighted-mean.js";

const name = (tensor: string): string => `base_model.model.m.${tensor}`;
const layout: TensorLayout = canonicalLayout([
  { name: name("lora_A.weight"), dtype: "F32", shape: [4, 3] },
  { name: name("lora_B.weight"), dtype: "F32", shape: [5, 4] },
  { name: name("lora_R.weight"), dtype: "F32", shape: [4, 4] },
  { name: name("vera_lambda_d"), dtype: "F32", shape: [4] },
]);
const groups = [{ name: "m", tensors: layout }];
const atRank = (rank: number): TensorLayout => {
  const shapes = [[rank, 3], [5, rank], [rank, rank], [rank]];
  return layout.map((spec, i) => ({ ...spec, shape: shapes[i]! }));
};

function numbers(specs: TensorLayout, at: (i: number) => number): StateDict {
  let next = 0;
  return toStateDict(
    specs.map(({ name: tensor, shape }) => {
      const count = shape.reduce((size, n) => size * n, 1);
      return [
        tensor,
        fromFloat32(
          Float32Array.from({ length: count }, () => at(next++)),
          shape,
        ),
      ] as const;
    }),
  );
}
const base = numbers(layout, (i) => Math.sin(i));
function mean(
  pass: AggregationPass<never, WeightedMean> | AggregationPass,
  updates: readonly UpdateView[],
): WeightedMean {
  let sealed: WeightedMean | undefined;
  runPasses(
    {
      passes: [pass],
      finish: (results) => {
        sealed = results.get(pass.name)!.get("m") as WeightedMean;
        return { kind: "refused", code: "round-failed", message: "only the pass counts" };
      },
    },
    (visit) => {
      updates.forEach(visit);
    },
  );
  return sealed!;
}
const listOf = ({ tensors }: WeightedMean): Record<string, number[]> =>
  Object.fromEntries([...tensors].map(([tensor, value]) => [tensor, [...toFloat32(value)]]));

test("each element is the float32 nearest to the mean over those that own it", () => {
  const client = fc.record({
    rank: fc.integer({ min: 1, max: 4 }),
    weight: fc.integer({ min: 1, max: 1000 }),
    phase: fc.double({ min: 0, max: 6, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(client, { minLength: 1, maxLength: 6 }), (clients) => {
      const updates = clients.map(({ rank, weight, phase }, k) => ({
        rank,
        view: memoryUpdate(
          String(k),
          weight,
          numbers(atRank(rank), (i) => Math.cos(phase + i)),
        ),
      }));
      const got = mean(
        ownerMeanPass("mean", groups, base),
        updates.map(({ view }) => view),
      );
      // The mean over the owners of rank q, of their leading blocks of rank q, by the primitive for equal ranks.
      for (let rank = 1; rank <= 4; rank++) {
        const owners = updates.filter((update) => update.rank >= rank);
        const specs = atRank(rank);
        const from = leadingBlocks(
          specs.map((spec) => ({ spec })),
          base,
        );
        const expected =
          owners.length === 0
            ? from
            : mean(
                weightedMeanPass("mean", [{ name: "m", tensors: specs }], from),
                owners.map(({ view }) => {
                  const values = toStateDict(
                    [...layout].map((spec) => {
                      const shape = view.shape(spec.name)!;
                      return [spec.name, fromFloat32(view.tensor(spec.name).slice(), shape)] as const;
                    }),
                  );
                  return memoryUpdate(
                    view.id,
                    view.weight,
                    leadingBlocks(
                      specs.map((spec) => ({ spec })),
                      values,
                    ),
                  );
                }),
              ).tensors;
        for (const spec of specs) {
          const block = leadingBlocks([{ spec }], got.tensors).get(spec.name)!;
          const [whole, wanted] = [toFloat32(block), toFloat32(expected.get(spec.name)!)];
          // The outermost shell: what a client of a smaller rank does not own.
          const [rows = 1, columns = 1] = spec.shape;
          whole.forEach((value, i) => {
            const [row, column] = [Math.floor(i / columns), i % columns];
            const isLast =
              spec.name.endsWith("lora_A.weight") || spec.name.endsWith("lambda_d")
                ? row === rows - 1
                : spec.name.endsWith("lora_B.weight")
                  ? column === columns - 1
                  : row === rows - 1 || column === columns - 1;
            if (isLast) expect(value).toBe(wanted[i]);
          });
        }
      }
    }),
    { numRuns: 50 },
  );
});

test("with equal ranks it is the weighted mean, bit by bit", () => {
  const updates = [3, 5, 11].map((weight, k) =>
    memoryUpdate(
      String(k),
      weight,
      numbers(layout, (i) => Math.cos(i * k)),
    ),
  );
  expect(listOf(mean(ownerMeanPass("mean", groups, base), updates))).toEqual(
    listOf(mean(weightedMeanPass("mean", groups, base), updates)),
  );
});

test("tensors that nobody holds are left out, and every update of the round is counted", () => {
  const head = adapterGroups([{ name: name("classifier.bias"), dtype: "F32", shape: [1] }]);
  const views = [memoryUpdate("0", 2, new Map()), memoryUpdate("1", 3, new Map())];
  expect(mean(ownerMeanPass("mean", groups, base), views)).toEqual({
    contributors: 2,
    totalWeight: 5,
    tensors: new Map(),
  });
  expect(() => mean({ ...ownerMeanPass("mean", head, base) }, views)).toThrow(
    expect.objectContaining({ code: "update-tensor-missing" }),
  );
});

test.each([
  ["lora_A.weight", [2, 2]],
  ["lora_B.weight", [4, 2]],
  ["lora_A.weight", [5, 3]],
  ["vera_lambda_d", [2, 1]],
])("a %s of shape %j has no client's rank and is refused", (tensor, shape) => {
  const count = shape.reduce((size, n) => size * n, 1);
  const values = new Map([...numbers(layout, () => 0), [name(tensor), fromFloat32(new Float32Array(count), shape)]]);
  expect(() => mean(ownerMeanPass("mean", groups, base), [memoryUpdate("bad", 1, values)])).toThrow(
    expect.objectContaining({ code: "update-shape", details: { updateId: "bad", tensor: name(tensor) } }),
  );
});
