import {
  codecOf,
  fromFloat32,
  openEncoded,
  toFloat32,
  type PlanInstructions,
  type StateDict,
  type TensorLayout,
} from "@fedlora/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fakeInstructions, fakeRole, filledState } from "../testing/fake-plan.js";
import { decodeDownload } from "./decode-download.js";
import { assertSupported, uploadTensorBytes } from "./instructions.js";
import { computeUpdate, type LocalUpdate } from "./local-update.js";
import { assembleStart } from "./start-tensors.js";

const start = filledState({ a: [0.5, [2, 2]], b: [1, [3]] });
const trained = filledState({ a: [0.75, [2, 2]], b: [3, [3]] });
const roles = [fakeRole("a", [2, 2]), fakeRole("b", [3], { uploaded: false, downloaded: false, keep: "run" })];
const first = (state: StateDict, name: string): number | undefined => toFloat32(state.get(name)!)[0];
const instructionsOf = (changes: Partial<PlanInstructions>): PlanInstructions => fakeInstructions(roles, changes);

describe("an update", () => {
  test("holds the difference or the value of what is uploaded, and nothing else", () => {
    const delta = computeUpdate(instructionsOf({}), start, trained).update;
    const value = computeUpdate(instructionsOf({ updateForm: "value", codec: "bf16" }), start, trained).update;

    const sketch = computeUpdate(instructionsOf({ updateForm: "sketch" }), start, trained).update;

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

describe("error feedback", () => {
  const layout: TensorLayout = [{ name: "a", dtype: "F32", shape: [2, 2] }];
  const lossy = (codec: string): PlanInstructions => instructionsOf({ codec, errorFeedback: true });
  const values = (state: StateDict | undefined): number[] => [...toFloat32(state!.get("a")!)];
  const stateOf = (list: number[], shape: readonly number[] = [2, 2]): StateDict =>
    new Map([...trained, ["a", fromFloat32(Float32Array.from(list), shape)]]);
  const zeros = stateOf([0, 0, 0, 0]);
  const decoded = (codec: string, update: StateDict): number[] => [
    ...openEncoded(codecOf(codec).decoder(layout), update)("a"),
  ];

  test("sends what was left out before, and keeps what is left out now", () => {
    const first = computeUpdate(lossy("topk:.25"), zeros, stateOf([1, -4, 3, 2]), new Map());
    const second = computeUpdate(lossy("topk:.25"), zeros, stateOf([1, 1, 3, 2]), first.residual);

    expect(decoded("topk:.25", first.update)).toEqual([0, -4, 0, 0]);
    expect(values(first.residual)).toEqual([1, 0, 3, 2]);
    expect(decoded("topk:.25", second.update)).toEqual([0, 0, 6, 0]);
    expect(values(second.residual)).toEqual([2, 1, 0, 4]);
  });

  test.each(["int8:3", "topk:.3", "topk:.5"])("loses nothing over many rounds: %s", (codec) => {
    const number = fc.integer({ min: -1000, max: 1000 });
    fc.assert(
      fc.property(fc.array(fc.tuple(number, number, number, number), { minLength: 1, maxLength: 8 }), (rounds) => {
        let residual: StateDict | undefined = new Map();
        const sent = [0, 0, 0, 0];
        for (const delta of rounds) {
          const result: LocalUpdate = computeUpdate(lossy(codec), zeros, stateOf(delta), residual);
          decoded(codec, result.update).forEach((x, i) => (sent[i]! += x));
          ({ residual } = result);
        }

        const all = [0, 1, 2, 3].map((i) => rounds.reduce((sum, delta) => sum + delta[i]!, 0));
        values(residual).forEach((left, i) => expect(sent[i]! + left).toBeCloseTo(all[i]!, 1));
      }),
    );
  });

  test("is not applied without its switch, to values, or by a codec that loses nothing", () => {
    const residual = stateOf([100, 100, 100, 100]);
    const off = computeUpdate(lossy("topk:.25"), zeros, stateOf([1, 2, 3, 4]));
    const value = computeUpdate(
      instructionsOf({ codec: "int8", updateForm: "value", errorFeedback: true }),
      zeros,
      stateOf([1, 2, 3, 4]),
      residual,
    );
    const exact = computeUpdate(lossy("f32"), zeros, stateOf([1, 2, 3, 4]), residual);

    expect(decoded("topk:.25", off.update)).toEqual([0, 0, 0, 4]);
    expect(decoded("int8", value.update)[3]).toBeCloseTo(4, 5);
    expect(values(exact.update)).toEqual([1, 2, 3, 4]);
    expect([off, value, exact].map((result) => result.residual)).toEqual([undefined, undefined, undefined]);
  });

  test("starts anew for a tensor whose shape is another, as after a change of rank", () => {
    const before = new Map([["a", fromFloat32(new Float32Array(2).fill(100), [1, 2])]]);

    const { residual } = computeUpdate(lossy("topk:.25"), zeros, stateOf([1, 2, 3, 4]), before);

    expect(values(residual)).toEqual([1, 2, 3, 0]);
  });
});

describe("a download", () => {
  const downloaded = [fakeRole("a", [2, 2]), fakeRole("b", [3], { downloaded: false })];
  const instructions = (downloadCodec: string | undefined): PlanInstructions =>
    fakeInstructions(downloaded, { downloadCodec });
  const layout: TensorLayout = [{ name: "a", dtype: "F32", shape: [2, 2] }];
  const sent = (codec: string): StateDict => codecOf(codec).encode(layout, () => Float32Array.of(1, -4, 3, 2));

  test("comes as it is, or as its codec decodes it", () => {
    const plain = sent("f32");

    expect(decodeDownload(instructions(undefined), plain)).toBe(plain);
    const sparse = decodeDownload(instructions("topk:.5"), sent("topk:.5"));
    expect([...sparse.keys()]).toEqual(["a"]);
    expect([...toFloat32(sparse.get("a")!)]).toEqual([0, -4, 3, 0]);
    expect(sparse.get("a")).toMatchObject({ dtype: "F32", shape: [2, 2] });
  });

  test("that is not of its codec is refused by tensor", () => {
    const wrong = (): unknown => decodeDownload(instructions("topk:.5"), sent("f32"));

    expect(wrong).toThrow(expect.objectContaining({ code: "adapter-invalid", details: { tensor: "sparse.bitmap" } }));
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
    ["a codec", { codec: "zip" }, "directive-unknown"],
    ["a download's codec", { downloadCodec: "zip" }, "directive-unknown"],
    ["a layout", { uploadLayout: [] }, "request-invalid"],
  ])("with %s that does not fit are refused", (_, changes, code) => {
    expect(() => assertSupported(instructionsOf(changes))).toThrow(expect.objectContaining({ code }));
  });
});
