import { toFloat32, type PlanInstructions, type StateDict } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { fakeInstructions, fakeRole, filledState } from "../testing/fake-plan.js";
import { assertSupported, uploadTensorBytes } from "./instructions.js";
import { computeUpdate } from "./local-update.js";
import { assembleStart } from "./start-tensors.js";

const start = filledState({ a: [0.5, [2, 2]], b: [1, [3]] });
const trained = filledState({ a: [0.75, [2, 2]], b: [3, [3]] });
const roles = [fakeRole("a", [2, 2]), fakeRole("b", [3], { uploaded: false, downloaded: false, keep: "run" })];
const first = (state: StateDict, name: string): number | undefined => toFloat32(state.get(name)!)[0];
const instructionsOf = (changes: Partial<PlanInstructions>): PlanInstructions => fakeInstructions(roles, changes);

describe("an update", () => {
  test("holds the difference or the value of what is uploaded, and nothing else", () => {
    const delta = computeUpdate(instructionsOf({}), start, trained);
    const value = computeUpdate(instructionsOf({ updateForm: "value", codec: "bf16" }), start, trained);

    const sketch = computeUpdate(instructionsOf({ updateForm: "sketch" }), start, trained);

    expect([...delta.keys(), ...value.keys()]).toEqual(["a", "a"]);
    expect([first(delta, "a"), first(value, "a"), first(sketch, "a")]).toEqual([0.25, 0.75, 0.75]);
    expect([delta.get("a")?.dtype, value.get("a")?.dtype]).toEqual(["F32", "BF16"]);
  });

  test.each<[string, StateDict, Partial<PlanInstructions>, string]>([
    ["that training did not give", filledState({ b: [3, [3]] }), {}, "update-tensor-missing"],
    ["of another shape", filledState({ a: [1, [4]], b: [3, [3]] }), {}, "update-shape"],
    ["that is not finite", filledState({ a: [Number.NaN, [2, 2]], b: [3, [3]] }), {}, "update-not-finite"],
    ["that f16 cannot hold", filledState({ a: [70_000, [2, 2]], b: [3, [3]] }), { codec: "f16" }, "update-not-finite"],
  ])("is refused for a tensor %s", (_, result, changes, code) => {
    const compute = (): unknown => computeUpdate(instructionsOf(changes), start, result);

    expect(compute).toThrow(expect.objectContaining({ code, details: expect.objectContaining({ tensor: "a" }) }));
  });

  test("is refused for a kept tensor that is not finite, too", () => {
    const broken = filledState({ a: [1, [2, 2]], b: [Infinity, [3]] });

    expect(() => computeUpdate(instructionsOf({}), start, broken)).toThrow(/"b"/);
  });
});

describe("the start of a round", () => {
  test("is the download, then the client's own, then what is frozen, then the global value", () => {
    const own = filledState({ b: [7, [3]], a: [8, [2, 2]] });
    const frozen = [filledState({ b: [9, [3]] })];
    const none: StateDict = new Map();

    const full = assembleStart(instructionsOf({}), { global: start, frozen, kept: own });
    const lost = assembleStart(instructionsOf({}), { global: start, frozen, kept: none });
    const bare = assembleStart(instructionsOf({}), { global: start, frozen: [], kept: none });

    expect([first(full, "a"), first(full, "b")]).toEqual([0.5, 7]);
    expect([first(lost, "b"), first(bare, "b")]).toEqual([9, 1]);
  });

  test("names a tensor that nobody holds, or that has another shape", () => {
    const missing = (): unknown =>
      assembleStart(instructionsOf({}), { global: new Map(), frozen: [], kept: new Map() });
    const other = filledState({ a: [1, [4]], b: [1, [3]] });
    const shaped = (): unknown => assembleStart(instructionsOf({}), { global: other, frozen: [], kept: new Map() });

    expect(missing).toThrow(expect.objectContaining({ code: "adapter-invalid", details: { tensor: "a" } }));
    expect(shaped).toThrow(/\[4\].*\[2, 2\]/);
  });
});

describe("instructions", () => {
  test("are supported as fedavg gives them", () => {
    expect(() => assertSupported(instructionsOf({}))).not.toThrow();
    expect(uploadTensorBytes(instructionsOf({ codec: "f16" }))).toBe(8);
  });

  test.each<[string, Partial<PlanInstructions>, string]>([
    ["a form", { updateForm: "mask" }, "directive-unknown"],
    ["a codec", { codec: "int8" }, "directive-unknown"],
    ["a layout", { uploadLayout: [] }, "request-invalid"],
  ])("with %s that does not fit are refused", (_, changes, code) => {
    expect(() => assertSupported(instructionsOf(changes))).toThrow(expect.objectContaining({ code }));
  });
});
