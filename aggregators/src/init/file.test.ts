import { adapterKeys, adapterSchema, baseDeltaKeys, canonicalLayout, fromFloat32, toFloat32 } from "@fedlora/core";
import type { StateDict, TensorLayout } from "@fedlora/core";
import { expect, test } from "vitest";
import type { MethodRun } from "../method.js";
import { deltaOf, denseState, norm, plus, productOf, times } from "../testing/dense.js";
import { MemorySink, stateOf, testSpec } from "../testing/memory.js";
import { initialisationOf } from "./initialisation-of.js";

const { a, b } = adapterKeys("m");
const layout: TensorLayout = canonicalLayout([
  { name: a, dtype: "F32", shape: [2, 3] },
  { name: b, dtype: "F32", shape: [4, 2] },
]);
const runOf = (subtracted: boolean): MethodRun => ({
  spec: testSpec({
    adapter: adapterSchema.parse({
      rank: 2,
      targetModules: ["m"],
      init: { kind: "file", hash: "0".repeat(64), subtracted },
    }),
  }),
  adapterLayout: layout,
  scalings: { m: 1.5 },
});
const given: StateDict = stateOf(layout, { [a]: [1, 2, 3, 4, 5, 6], [b]: [1, 0, 0, 1, 2, 2, 3, 1] });

test("what is subtracted from the base is the scaled product of the start, so that the run starts as the base model", () => {
  const sink = new MemorySink();
  const initialisation = initialisationOf(runOf(true));

  const delta = initialisation.writeBaseDelta!(initialisation.start(new Map(), given), sink);

  expect(delta).toEqual({ fromVersion: 0, toVersion: 1 });
  const keys = baseDeltaKeys("m");
  const written = sink.tensors();
  expect([...written.keys()]).toEqual([keys.a, keys.b]);
  expect([...toFloat32(written.get(keys.a)!)]).toEqual([1, 2, 3, 4, 5, 6]);
  expect([...toFloat32(written.get(keys.b)!)].map((x) => x / -1.5)).toEqual([1, 0, 0, 1, 2, 2, 3, 1].map((x) => x + 0));
  expect(Object.keys(initialisationOf(runOf(false)))).not.toContain("writeBaseDelta");
});

test("G39: the start and what was subtracted are together the original base, as PEFT's export of rank 2 r has them", () => {
  const sink = new MemorySink();
  const initialisation = initialisationOf(runOf(true));
  const adapter = denseState(initialisation.start(new Map(), given));
  initialisation.writeBaseDelta!(given, sink);

  // [B0, -B0] [A0; A0], the adapter as it was exported before any training.
  const stacked = plus(times(1.5, productOf(adapter, "m")!), deltaOf(denseState(sink.tensors()), "m")!);
  expect(norm(stacked)).toBe(0);
  expect(norm(productOf(adapter, "m")!)).toBeGreaterThan(1);
});

test("a file of another layout, or with a value that is not finite, is refused by the tensor's name", () => {
  const start = (file: StateDict) => initialisationOf(runOf(false)).start(new Map(), file);
  const replaced = (name: string, values: number[], shape: number[]): StateDict =>
    new Map([...given, [name, fromFloat32(Float32Array.from(values), shape)]]);

  expect(() => start(replaced(a, [1, 2, 3], [1, 3]))).toThrow(/lora_A/);
  expect(() => start(new Map([...given].slice(0, 1)))).toThrow(/lora_B/);
  expect(() => start(replaced(a, [1, 2, NaN, 4, 5, 6], [2, 3]))).toThrow(
    expect.objectContaining({ code: "adapter-invalid", details: { tensor: a } }),
  );
  expect(start(given)).toEqual(given);
});
