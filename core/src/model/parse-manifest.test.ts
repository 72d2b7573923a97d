import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ModelManifest } from "./manifest.js";
import { parseModelManifest } from "./parse-manifest.js";

const manifest = {
  format: "fedlora-model/1",
  family: "bert",
  name: "tiny",
  hash: "ab".repeat(32),
  numLayers: 2,
  numParameters: 100,
  modules: [
    { name: "bert.encoder.layer.0.attention.self.query", kind: "linear", dIn: 4, dOut: 4, layer: 0 },
    { name: "bert.pooler.dense", kind: "linear", dIn: 4, dOut: 4, layer: null },
  ],
  heads: [{ name: "classifier", kind: "linear", dIn: 4, dOut: null, bias: true }],
  tensors: [
    { name: "a", dtype: "F32", shape: [2, 2] },
    { name: "b", dtype: "F16", shape: [] },
  ],
} as unknown as ModelManifest;

type Draft<T> = { -readonly [K in keyof T]: T[K] extends string ? string : T[K] extends object ? Draft<T[K]> : T[K] };

/** A deep copy with a change, which need not keep to the types of literals. */
function changed(change: (copy: Draft<ModelManifest>) => unknown): unknown {
  const copy = structuredClone(manifest) as unknown as Draft<ModelManifest>;
  change(copy);
  return copy;
}

describe("a manifest", () => {
  test("is taken as it is, from JSON too", () => {
    expect(parseModelManifest(manifest)).toEqual(manifest);
    expect(parseModelManifest(JSON.parse(JSON.stringify(manifest)))).toEqual(manifest);
  });

  test.each([
    ["another format", changed((m) => (m.format = "fedlora-model/2")), /format/],
    ["a short hash", changed((m) => (m.hash = "ab")), /hash: must be 64 hex digits/],
    ["an unknown field", changed((m) => (m["colour" as "name"] = "red")), /the manifest: .*colour/],
    ["a width of 0", changed((m) => (m.modules[0]!.dIn = 0)), /modules\.0\.dIn/],
    ["a fraction", changed((m) => (m.modules[0]!.dOut = 1.5)), /modules\.0\.dOut/],
    ["a layer beyond the model", changed((m) => (m.modules[0]!.layer = 2)), /layer is not below numLayers/],
    ["a module twice", changed((m) => m.modules.push(m.modules[0]!)), /same name/],
    ["a head named as a module", changed((m) => (m.heads[0]!.name = "bert.pooler.dense")), /same name/],
    [
      "a module named constructor",
      changed((m) => (m.modules[0]!.name = "constructor")),
      /modules\.0\.name: is not allowed/,
    ],
    ["a tensor of unknown dtype", changed((m) => (m.tensors[0]!.dtype = "F8")), /tensors\.0\.dtype/],
    [
      "a tensor of 2^70 elements",
      changed((m) => (m.tensors[0]!.shape = [2 ** 50, 2 ** 20])),
      /tensors\.0: is too large/,
    ],
    ["tensors out of order", changed((m) => m.tensors.reverse()), /order of their names/],
    ["a tensor twice", changed((m) => (m.tensors[1]!.name = "a")), /distinct/],
    ["nothing", null, /the manifest/],
  ])("with %s is refused", (_, json, reason) => {
    expect(() => parseModelManifest(json)).toThrow(expect.objectContaining({ code: "file-invalid" }));
    expect(() => parseModelManifest(json)).toThrow(reason);
  });

  test("of any JSON is read or refused with a code", () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(manifest)), fc.jsonValue(), (key, value) => {
        try {
          parseModelManifest({ ...manifest, [key]: value });
        } catch (error) {
          expect(error).toMatchObject({ code: "file-invalid" });
        }
      }),
    );
  });
});
