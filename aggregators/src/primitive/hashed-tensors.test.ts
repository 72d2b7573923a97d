import { canonicalLayout, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import { expect, test } from "vitest";
import { hashedTensors } from "./hashed-tensors.js";
import { deltaInstruction, frozen, personal, rolesOf, shared } from "./method-parts.js";

const name = (module: string, tensor: string): string => `base_model.model.${module}.${tensor}`;
const layout = canonicalLayout(
  ["m", "n"].flatMap((module) => [
    { name: name(module, "lora_A.weight"), dtype: "F32" as const, shape: [2, 3] },
    { name: name(module, "lora_B.weight"), dtype: "F32" as const, shape: [4, 2] },
    { name: name(module, "classifier.weight"), dtype: "F32" as const, shape: [1] },
  ]),
);
const global = toStateDict(
  layout.map(({ name: tensor, shape }) => {
    const count = shape.reduce((size, n) => size * n, 1);
    return [
      tensor,
      fromFloat32(
        Float32Array.from({ length: count }, (_, i) => i),
        shape,
      ),
    ] as const;
  }),
);

test("every tensor that is not downloaded travels by hash, one file per kind, in the client's shapes", () => {
  const ranks = { m: 1, n: 2 };
  const roles = rolesOf(layout, ranks, (kind) => (kind === "lora-a" ? frozen : kind === "head" ? shared : personal));
  const files = hashedTensors(deltaInstruction(roles), global);
  expect(files.map((file) => [...file.keys()])).toEqual([
    [name("m", "lora_A.weight"), name("n", "lora_A.weight")],
    [name("m", "lora_B.weight"), name("n", "lora_B.weight")],
  ]);
  expect(files.map((file) => [...file.values()].map(({ shape }) => shape))).toEqual([
    [
      [1, 3],
      [2, 3],
    ],
    [
      [4, 1],
      [4, 2],
    ],
  ]);
  expect([...toFloat32(files[1]!.get(name("m", "lora_B.weight"))!)]).toEqual([0, 2, 4, 6]);
});

test("what the global adapter lacks is left out, and there is no file without tensors", () => {
  const control = { spec: { name: "client_control.x", dtype: "F32" as const, shape: [1] }, ...personal };
  expect(hashedTensors(deltaInstruction([control]), global)).toEqual([]);
  expect(hashedTensors(deltaInstruction(rolesOf(layout, undefined, () => shared)), global)).toEqual([]);
});
