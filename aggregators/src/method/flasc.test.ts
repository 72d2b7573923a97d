import {
  adapterLayout,
  codecOf,
  fromFloat32,
  openEncoded,
  referenceModules,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import type { StateDict, TensorLayout } from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ClientInstruction, Method } from "../method.js";
import { aggregateInMemory, memoryUpdate } from "../testing/memory.js";
import { compileOn, factors, nameA, nameB, oneModule, valuesOf } from "../testing/one-module.js";
import { fedavg } from "./fedavg.js";
import { flasc } from "./flasc.js";

const layout = oneModule(2, 1, 2);
function instruct(method: Method, maxRank?: number): ClientInstruction {
  const client = { clientId: "c", maxRank, ranks: undefined, directives: [], codecs: [] } as never;
  return method.prepare("train", method.initialState(), client);
}
/** Coded and decoded, as it arrives at the other side. */
function overTheWire(codec: string, specs: TensorLayout, sent: StateDict): StateDict {
  const encoded = codecOf(codec).encode(specs, (name) => toFloat32(sent.get(name)!));
  const read = openEncoded(codecOf(codec).decoder(specs), encoded);
  return toStateDict(specs.map(({ name, shape }) => [name, fromFloat32(read(name).slice(), shape)]));
}

describe("G27", () => {
  const method = compileOn(layout, flasc, { download: 0.5, upload: 0.25 });
  const { downloadCodec, codec, updateForm } = instruct(method);
  // P = (A, B), flattened: .5, -2, .1, 3.
  const global = factors(layout, { a: [0.5, -2], b: [0.1, 3] });
  const download = overTheWire(
    downloadCodec!,
    layout,
    method.projectFor(instruct(method), global, method.initialState()),
  );

  test("half of the parameters are downloaded, the largest over all tensors together", () => {
    expect([valuesOf(download, nameA), valuesOf(download, nameB)]).toEqual([
      [0, -2],
      [0, 3],
    ]);
  });

  test("a quarter of the change is uploaded and added to the dense adapter; what was not sent did not change", () => {
    expect(updateForm).toBe("delta");
    const trained = [0.2, -2.5, 0.05, 3.1];
    const start = [0, -2, 0, 3];
    const delta = trained.map((value, i) => value - start[i]!);
    const sent = overTheWire(codec!, layout, factors(layout, { a: delta.slice(0, 2), b: delta.slice(2) }));
    expect([valuesOf(sent, nameA), valuesOf(sent, nameB)]).toEqual([
      [0, -0.5],
      [0, 0],
    ]);

    const result = aggregateInMemory(method, global, [
      memoryUpdate("0", 1, sent),
      memoryUpdate("1", 1, factors(layout, { a: [0, 0], b: [0, 0] })),
    ]);
    if (result.kind === "refused") throw new Error(result.message);
    expect([valuesOf(result.global, nameA), valuesOf(result.global, nameB)]).toEqual([
      [0.5, -2.25],
      [Math.fround(0.1), 3],
    ]);
  });

  test.each(["none", "fedadam", "fedavgm"] as const)(
    "dense both ways it is FedAvg with server optimizer %s",
    (kind) => {
      const spec = { weighting: { kind: "uniform" }, serverOptimizer: { kind } } as const;
      const dense = compileOn(layout, flasc, { download: 1, upload: 1 }, spec);
      const plain = compileOn(layout, fedavg, { biasClients: 0 }, spec);
      const numbers = fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 4, maxLength: 4 });
      const state = numbers.map((list) => factors(layout, { a: list.slice(0, 2), b: list.slice(2) }));

      expect(instruct(dense)).toMatchObject({ codec: "f32", downloadCodec: "f32" });
      fc.assert(
        fc.property(state, fc.array(state, { minLength: 1, maxLength: 4 }), (from, deltas) => {
          const updates = deltas.map((tensors, k) => memoryUpdate(String(k), 1, tensors));
          const [got, expected] = [dense, plain].map((one) => aggregateInMemory(one, from, updates));
          if (got?.kind !== "adapter" || expected?.kind !== "adapter") throw new Error("refused");
          expect(got.global).toEqual(expected.global);
        }),
        { numRuns: 30 },
      );
    },
  );
});

test("densities may differ by device: the first tier that a client's rank limit falls under", () => {
  const tiers = [
    { maxRank: 4, download: 0.0625, upload: 0.015625 },
    { maxRank: 8, download: 0.5, upload: 0.0625 },
  ];
  const method = compileOn(layout, flasc, { tiers });
  const codecs = [2, 4, 5, 8, 9, undefined].map((maxRank) => {
    const { downloadCodec, codec } = instruct(method, maxRank);
    return [downloadCodec, codec];
  });
  const [weakest, middle, strongest] = [
    ["topk:0.0625", "topk:0.015625"],
    ["topk:0.5", "topk:0.0625"],
    ["topk:0.25", "topk:0.25"],
  ];
  expect(codecs).toEqual([weakest, weakest, middle, middle, strongest, strongest]);
});

test("nothing of what was left out is remembered, and the run's own codec must be f32", () => {
  expect(instruct(compileOn(layout, flasc)).errorFeedback).toBe(false);
  expect(() => compileOn(layout, flasc, {}, { codec: "f16" })).toThrow(
    expect.objectContaining({ code: "spec-combination-refused" }),
  );
});

test("a quarter of the values takes 0.281 of the bytes, with a bit per value for the places", () => {
  const { modules } = referenceModules("roberta-large");
  const adapted = modules
    .filter(({ name }) => /\.(query|value)$/.test(name))
    .map((module) => ({ ...module, rank: 8, alpha: 8, scaling: 1 }));
  const list = adapterLayout({ modules: adapted, heads: [] });
  const method = compileOn(list, flasc);
  const { down, up } = method.bytes(instruct(method));
  const dense = 786_432;
  expect(up).toBeLessThanOrEqual((4 * dense) / 4 + dense / 8);
  expect(up).toBeGreaterThan((4 * dense) / 4);
  expect(down).toBe(up);
});
