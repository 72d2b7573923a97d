import { expect, test } from "vitest";
import { adapterGroups } from "./adapter-groups.js";

const spec = (name: string) => ({ name, dtype: "F32", shape: [1] }) as const;

test("factors are grouped by module, heads by theirs", () => {
  const names = [
    "base_model.model.classifier.bias",
    "base_model.model.classifier.weight",
    "base_model.model.layer.0.query.lora_A.weight",
    "base_model.model.layer.0.query.lora_B.weight",
    "base_model.model.layer.10.query.lora_A.weight",
    "base_model.model.layer.10.query.lora_B.weight",
  ];
  const groups = adapterGroups(names.map(spec));
  expect(groups.map(({ name, tensors, factors }) => [name, tensors.length, factors?.b.name])).toEqual([
    ["base_model.model.classifier", 2, undefined],
    ["base_model.model.layer.0.query", 2, "base_model.model.layer.0.query.lora_B.weight"],
    ["base_model.model.layer.10.query", 2, "base_model.model.layer.10.query.lora_B.weight"],
  ]);
  expect(groups.flatMap(({ tensors }) => tensors.map(({ name }) => name))).toEqual(names);
});

test("one factor alone is averaged like any tensor, but is no pair", () => {
  expect(adapterGroups([spec("m.lora_B.weight")])).toMatchObject([{ name: "m", factors: undefined }]);
});
