import { adapterLayout, toStateDict } from "@fedlora/core";
import type { ResolvedModule, RunSpecInput, TensorRole } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import type { ClientInstruction, Method } from "../method.js";
import { hashedTensors } from "../primitive/hashed-tensors.js";
import { contractLayouts } from "../testing/method-case.js";
import { compileOn, factors, nameA, nameB, oneModule, roundOn, valuesOf } from "../testing/one-module.js";
import { fedsaLora } from "./fedsa-lora.js";

const layout = oneModule(3, 1, 2);
const client = { clientId: "c", maxRank: undefined, ranks: undefined, directives: [], codecs: [] } as never;
const instruct = (method: Method): ClientInstruction => method.prepare("train", method.initialState(), client);
const vera: Partial<RunSpecInput> = { adapter: { rank: 2, targetModules: ["query"], variant: "vera" } };

describe("G18", () => {
  const method = compileOn(layout, fedsaLora);
  const global = { a: [1, 2], b: [0, 0, 0] };

  test("A is averaged by weight; the coordinator's B stays round 0's", () => {
    const list = [
      { weight: 1, a: [2, 0] },
      { weight: 3, a: [0, 4] },
    ];
    const { global: next } = roundOn(method, layout, global, list);
    expect(valuesOf(next, nameA)).toEqual([1.5, 5]);
    expect(next.get(nameB)!.bytes).toEqual(factors(layout, global).get(nameB)!.bytes);
  });

  test("no B travels: neither up nor down, so a client's own is never written over", () => {
    const instruction = instruct(method);
    expect(method.intake(instruction, 0).layout.map(({ name }) => name)).toEqual([nameA]);
    expect([...method.projectFor(instruction, factors(layout, global), method.initialState()).keys()]).toEqual([nameA]);
    expect(instruction.roles.find(({ spec }) => spec.name === nameB)).toMatchObject({
      trained: true,
      uploaded: false,
      downloaded: false,
      keep: "run",
    });
  });

  test("there is no global model to export, and evaluation is each client's own", () => {
    expect(method.exports(method.initialState())).toEqual([]);
    expect(fedsaLora.capabilities).toMatchObject({ personal: true, evaluation: "per-client" });
  });
});

test("B and heads stay on the client; a newcomer starts from round 0's and warms up", () => {
  const heads = contractLayouts.lora;
  const method = compileOn(heads, fedsaLora, { warmUpSteps: 3 });
  const kept = heads.filter(({ name }) => !name.endsWith("lora_A.weight")).map(({ name }) => name);
  const start = toStateDict(heads.map(({ name, shape }) => [name, { dtype: "F32", shape, bytes: new Uint8Array() }]));

  expect(method.clientState()).toMatchObject({ scope: "run", whenLost: "start-from-init", newcomers: "warm-up" });
  expect(method.clientState()!.tensors.map(({ name }) => name)).toEqual(kept);
  const byHash = hashedTensors(instruct(method), start).flatMap((tensors) => [...tensors.keys()]);
  expect(byHash.sort()).toEqual(kept);
  expect(instruct(method).directives).toEqual([{ kind: "warm-up", version: 1, steps: 3 }]);
  expect(instruct(compileOn(heads, fedsaLora, { warmUpSteps: 0 })).directives).toEqual([]);
});

test("with VeRA one vector of the rank's length per module travels, and A and B are frozen", () => {
  const method = compileOn(contractLayouts.vera, fedsaLora, {}, vera);
  const instruction = instruct(method);
  const ofKind = (ending: string): TensorRole | undefined =>
    instruction.roles.find(({ spec }) => spec.name.endsWith(ending));

  expect(method.intake(instruction, 0).layout.map(({ name, shape }) => [name, shape])).toEqual([
    ["base_model.model.layer.0.query.vera_lambda_d", [2]],
    ["base_model.model.layer.1.value.vera_lambda_d", [3]],
  ]);
  expect(ofKind("vera_lambda_b")).toMatchObject({ trained: true, uploaded: false, downloaded: false, keep: "run" });
  for (const frozen of ["lora_A.weight", "lora_B.weight"]) {
    expect(ofKind(frozen)).toMatchObject({ trained: false, uploaded: false, downloaded: false, keep: "none" });
  }
  expect(method.bytes(instruction)).toEqual({ down: 20, up: 20 });
});

test("GQA: half of LoRA only where dIn is dOut, so bytes are counted per module", () => {
  const module = (name: string, dIn: number, dOut: number): ResolvedModule => {
    return { name, layer: 0, dIn, dOut, rank: 16, alpha: 32, scaling: 2 };
  };
  const list = adapterLayout({ modules: [module("q", 2048, 2048), module("v", 2048, 256)], heads: [] });
  const method = compileOn(list, fedsaLora);
  expect(method.bytes(instruct(method))).toEqual({ down: 4 * 2 * 16 * 2048, up: 4 * 2 * 16 * 2048 });
});
