import { expect, test } from "vitest";
import { clientControlName, controlledTensor, isControlTensor, serverControlName } from "./control-tensors.js";

test("a control variate names its tensor, and only it counts as one", () => {
  const name = "base_model.model.query.lora_A.weight";
  for (const control of [serverControlName(name), clientControlName(name)]) {
    expect(isControlTensor(control)).toBe(true);
    expect(controlledTensor(control)).toBe(name);
  }
  expect(serverControlName(name)).not.toBe(clientControlName(name));
  expect(isControlTensor(name)).toBe(false);
  expect(controlledTensor(name)).toBe(name);
});
