import {
  adapterLayout,
  adapterSchema,
  type AdapterSpec,
  headKeys,
  loraKeys,
  resolveAdapter,
  taskSchema,
  type TensorSpec,
} from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { planAdapter } from "./adapter-plan.js";

const linear = (name: string, dIn: number, dOut: number, layer: number) =>
  ({ name, kind: "linear", dIn, dOut, layer }) as const;
const manifest = {
  modules: [linear("m.0.query", 6, 6, 0), linear("m.0.value", 6, 4, 0), linear("m.1.query", 6, 6, 1)],
  heads: [{ name: "classifier", kind: "linear", dIn: 6, dOut: null }],
} as const;
const task = taskSchema.parse({ kind: "sequence-classification", labels: ["a", "b", "c"] });
const specOf = (fields: Partial<AdapterSpec> = {}): AdapterSpec =>
  adapterSchema.parse({ rank: 2, alpha: 3, targetModules: ["query", "value"], ...fields });
const layoutOf = (spec: AdapterSpec): readonly TensorSpec[] => adapterLayout(resolveAdapter(spec, manifest, task));
const plan = (spec: AdapterSpec, layout: readonly TensorSpec[], isTrained: (name: string) => boolean = () => true) =>
  planAdapter(
    spec,
    task,
    manifest,
    layout.map((tensor) => ({ spec: tensor, trained: isTrained(tensor.name) })),
  );

test("modules, heads, scalings and what each trained tensor is", () => {
  const spec = specOf({ alphaPattern: { value: 8 } });

  const result = plan(spec, layoutOf(spec));

  expect(result.adapted).toEqual([
    { name: "m.0.query", rank: 2, trained: true },
    { name: "m.0.value", rank: 2, trained: true },
    { name: "m.1.query", rank: 2, trained: true },
  ]);
  expect(result.modulesToSave).toEqual(["classifier"]);
  expect(result.scalings).toEqual({ "m.0.query": 1.5, "m.0.value": 4, "m.1.query": 1.5 });
  expect([...result.trained.values()].sort()).toEqual([
    "head",
    "head",
    "lora-a",
    "lora-a",
    "lora-a",
    "lora-b",
    "lora-b",
    "lora-b",
  ]);
  expect(result.trained.get(loraKeys("m.0.value").b)).toBe("lora-b");
});

test("a module counts as trained where one of its tensors is", () => {
  const spec = specOf();

  const { adapted, trained } = plan(spec, layoutOf(spec), (name) => name === loraKeys("m.1.query").b);

  expect(adapted).toEqual([
    { name: "m.0.query", rank: 2, trained: false },
    { name: "m.0.value", rank: 2, trained: false },
    { name: "m.1.query", rank: 2, trained: true, gradients: ["lora-b"] },
  ]);
  expect([...trained]).toEqual([[loraKeys("m.1.query").b, "lora-b"]]);
});

describe("other variants", () => {
  test.each([
    ["latent", "lora_R.weight", ["lora-r"]],
    ["vera", "vera_lambda_", ["vera-b", "vera-d"]],
  ] as const)("%s: what it trains as a rule is not spelt out in the graph", (variant, trainedNames, kinds) => {
    const spec = specOf({ variant });

    const { adapted, trained } = plan(spec, layoutOf(spec), (name) => name.includes(trainedNames));

    expect(adapted[0]).toEqual({ name: "m.0.query", rank: 2, trained: true, form: variant });
    expect([...new Set(trained.values())].sort()).toEqual(kinds);
  });

  test("another choice is", () => {
    const spec = specOf({ variant: "vera" });

    const { adapted } = plan(spec, layoutOf(spec), (name) => name.endsWith("vera_lambda_b"));

    expect(adapted[0]).toMatchObject({ form: "vera", gradients: ["vera-b"] });
  });

  test("A and B alone, of whatever rank, are plain LoRA: that is how sketches are asked for", () => {
    const { a, b } = loraKeys("m.1.query");
    const layout: TensorSpec[] = [
      { name: a, dtype: "F32", shape: [5, 6] },
      { name: b, dtype: "F32", shape: [6, 5] },
      ...layoutOf(specOf()).filter(({ name }) => name.includes("classifier")),
    ];

    expect(plan(specOf({ variant: "latent" }), layout).adapted).toEqual([
      { name: "m.1.query", rank: 5, trained: true },
    ]);
  });

  test("one without its trained tensor is named", () => {
    const spec = specOf({ variant: "vera" });
    const layout = layoutOf(spec).filter(({ name }) => !name.endsWith("m.0.value.vera_lambda_d"));

    expect(() => plan(spec, layout)).toThrow(/m\.0\.value\.vera_lambda_d" is missing/);
  });
});

test("fewer modules and smaller ranks than the spec's: the tensors decide, the scaling stays the run's", () => {
  const keys = loraKeys("m.1.query");
  const heads = layoutOf(specOf()).filter(({ name }) => name.includes("classifier"));
  const layout: TensorSpec[] = [
    { name: keys.a, dtype: "F32", shape: [1, 6] },
    { name: keys.b, dtype: "F32", shape: [6, 1] },
    ...heads,
  ];

  expect(plan(specOf(), layout)).toMatchObject({
    adapted: [{ name: "m.1.query", rank: 1 }],
    scalings: { "m.1.query": 1.5 },
  });
  expect(plan(specOf({ rank: 4, rslora: true }), layoutOf(specOf({ rank: 4 }))).scalings["m.0.query"]).toBe(1.5);
});

describe("tensors that do not fit are named", () => {
  const spec = specOf();
  const layout = layoutOf(spec);
  const replace = (name: string, shape: number[]): TensorSpec[] =>
    layout.map((tensor) => (tensor.name === name ? { ...tensor, shape } : tensor));
  const without = (name: string): TensorSpec[] => layout.filter((tensor) => tensor.name !== name);
  const { a, b } = loraKeys("m.0.value");

  test.each<[string, readonly TensorSpec[], RegExp]>([
    ["A without B", without(b), /m\.0\.value\.lora_B\.weight" is missing/],
    ["B without A", without(a), /m\.0\.value\.lora_A\.weight" is missing/],
    ["no head", without(headKeys("classifier").weight), /classifier\.weight" is missing/],
    ["a head without its bias", without(headKeys("classifier").bias), /classifier\.bias" is missing/],
    ["B of another rank", replace(b, [4, 3]), /lora_B\.weight" has shape \[4, 3\], the model asks for \[4, 2\]/],
    ["A of another width", replace(a, [2, 5]), /lora_A\.weight" has shape \[2, 5\], the model asks for \[2, 6\]/],
    ["rank 0", replace(a, [0, 6]), /lora_A\.weight" has shape \[0, 6\]/],
    ["a head of another size", replace(headKeys("classifier").bias, [2]), /bias" has shape \[2\].*\[3\]/],
    ["one of another module", [...layout, { name: "x.lora_A.weight", dtype: "F32", shape: [1] }], /"x\.lora_A/],
  ])("%s", (_, tensors, message) => {
    expect(() => plan(spec, tensors)).toThrow(expect.objectContaining({ code: "adapter-invalid" }) as Error);
    expect(() => plan(spec, tensors)).toThrow(message);
  });
});
