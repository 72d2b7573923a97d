import {
  clientControlName,
  fromFloat32,
  serverControlName,
  type PlanInstructions,
  type TensorRole,
} from "@fedlora/core";
import { expect, test } from "vitest";
import { assembleStart } from "./start-tensors.js";

const name = "base_model.model.query.lora_B.weight";
const tensor = (...values: number[]) => fromFloat32(Float32Array.from(values), [values.length]);
const role = (tensorName: string, more: Partial<TensorRole>): TensorRole => ({
  spec: { name: tensorName, dtype: "F32", shape: [2] },
  trained: false,
  uploaded: false,
  downloaded: false,
  keep: "none",
  ...more,
});
const own = clientControlName(name);
const instructions = {
  roles: [
    role(name, { trained: true, uploaded: true, downloaded: true }),
    role(serverControlName(name), { downloaded: true }),
    role(own, { uploaded: true, keep: "run" }),
  ],
} as unknown as PlanInstructions;
const global = new Map([
  [name, tensor(1, 2)],
  [serverControlName(name), tensor(3, 4)],
]);

test("a control variate of its own starts at zero, and is then what the client kept", () => {
  const fresh = assembleStart(instructions, { global, frozen: [], kept: new Map() });
  const later = assembleStart(instructions, { global, frozen: [], kept: new Map([[own, tensor(5, 6)]]) });

  expect(fresh.get(own)).toEqual(tensor(0, 0));
  expect(fresh.get(serverControlName(name))).toEqual(tensor(3, 4));
  expect(later.get(own)).toEqual(tensor(5, 6));
});

test("the coordinator's control variate is not made up", () => {
  const without = new Map([[name, tensor(1, 2)]]);

  expect(() => assembleStart(instructions, { global: without, frozen: [], kept: new Map() })).toThrow(
    expect.objectContaining({ code: "adapter-invalid", details: { tensor: serverControlName(name) } }),
  );
});
