import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { ModelManifest } from "../model/manifest.js";
import { adapterSchema, taskSchema } from "../run-spec/schema.js";
import type { AdapterSpec, TaskSpec } from "../run-spec/schema.js";
import { readSafetensors, writeSafetensors } from "../tensor/safetensors.js";
import { fromFloat32, toFloat32 } from "../tensor/values.js";
import { initialAdapter } from "./initial-adapter.js";
import { adapterLayout, resolveAdapter } from "./lora-config.js";
import { fromPeftConfig, toPeftConfig } from "./peft-config.js";
import { fromPeftFiles, toPeftFiles } from "./peft-format.js";
import { matchTargetModules } from "./target-modules.js";

type Family = "bert" | "llama";
interface Case {
  family: Family;
  title: string;
  config: Record<string, unknown> & { target_modules: string | string[]; layers_to_transform: number[] | null };
  modules: [string, number, number, number][];
  tensors: [string, number[]][];
}
const golden = JSON.parse(readFileSync(new URL("../../../testdata/core/peft/cases.json", import.meta.url), "utf8")) as {
  linears: Record<Family, [string, number, number][]>;
  cases: Case[];
};

const headNames = ["classifier", "lm_head"];
const manifests = Object.fromEntries(
  Object.entries(golden.linears).map(([family, linears]) => {
    const rows = linears.map(([name, dIn, dOut]) => ({ name, kind: "linear" as const, dIn, dOut, layer: null }));
    const isHead = ({ name }: { name: string }): boolean => headNames.includes(name);
    return [
      family,
      {
        modules: rows.filter((row) => !isHead(row)),
        heads: rows.filter(({ name }) => name === "classifier").map((row) => ({ ...row, dOut: null })),
      },
    ];
  }),
) as unknown as Record<Family, Pick<ModelManifest, "modules" | "heads">>;
const tasks: Record<Family, TaskSpec> = {
  bert: taskSchema.parse({ kind: "sequence-classification", labels: ["a", "b", "c"] }),
  llama: taskSchema.parse({ kind: "causal-lm" }),
};
const bertSpec = (fields: Partial<AdapterSpec> = {}): AdapterSpec =>
  adapterSchema.parse({ rank: 4, targetModules: ["query"], ...fields });
const resolveBert = (fields: Partial<AdapterSpec>): ReturnType<typeof resolveAdapter> =>
  resolveAdapter(bertSpec(fields), manifests.bert, tasks.bert);
const plainConfig = golden.cases[0]!.config;

describe.each(golden.cases)("PEFT's $family with $title", ({ family, config, modules, tensors }) => {
  const task = tasks[family];
  const { spec } = fromPeftConfig(config, manifests[family], task);
  const resolved = resolveAdapter(spec, manifests[family], task);

  test("matches the same modules with the same ranks, alphas and scalings", () => {
    expect(resolved.modules.map(({ name, rank, alpha, scaling }) => [name, rank, alpha, scaling])).toEqual(modules);
  });

  test("saves the same tensors", () => {
    expect(adapterLayout(resolved).map(({ name, shape }) => [name, shape])).toEqual(tensors);
  });

  test("reads a config of ours as its own", () => {
    const ours = toPeftConfig(spec, resolved, task, null);
    const saved = config["modules_to_save"] === null ? null : ["classifier"];

    expect({ ...config, ...ours, modules_to_save: saved }).toEqual({ ...config, modules_to_save: saved });
  });
});

describe("an adapter in PEFT's files", () => {
  const spec = bertSpec({ targetModules: ["query", "value"] });
  const resolved = resolveAdapter(spec, manifests.bert, tasks.bert);
  const adapter = { spec, resolved, tensors: initialAdapter(resolved, 1) };

  test("comes back as it was", () => {
    const files = toPeftFiles(adapter, tasks.bert, "some/model");

    const read = fromPeftFiles(files, manifests.bert, tasks.bert);

    expect(JSON.parse(files.config)).toMatchObject({ base_model_name_or_path: "some/model", task_type: "SEQ_CLS" });
    expect(read.resolved).toEqual(resolved);
    expect(read.tensors).toEqual(adapter.tensors);
    expect(read.spec).toEqual({ ...spec, alpha: 8, modulesToSave: ["classifier"] });
  });

  test("may be stored in half precision", () => {
    const { config, model } = toPeftFiles(adapter, tasks.bert);
    const halves = new Map(
      [...readSafetensors(model).tensors].map(([name, t]) => [name, fromFloat32(toFloat32(t), t.shape, "F16")]),
    );

    const { tensors } = fromPeftFiles({ config, model: writeSafetensors(halves) }, manifests.bert, tasks.bert);

    for (const [name, tensor] of tensors) {
      expect(tensor.dtype).toBe("F32");
      expect(toFloat32(tensor)).toEqual(toFloat32(halves.get(name)!));
    }
  });

  const key = "base_model.model.classifier.bias";
  test.each([
    ["a tensor missing", (t: Map<string, unknown>) => t.delete(key), /classifier\.bias" is missing/],
    [
      "a tensor too many",
      (t: Map<string, unknown>) => t.set("x", fromFloat32(Float32Array.of(1), [1])),
      /"x" is not expected/,
    ],
    [
      "a wrong shape",
      (t: Map<string, unknown>) => t.set(key, fromFloat32(new Float32Array(4), [4])),
      /shape \[4\], expected \[3\]/,
    ],
    ["a NaN", (t: Map<string, unknown>) => t.set(key, fromFloat32(Float32Array.of(0, NaN, 0), [3])), /not finite at 1/],
    [
      "integers",
      (t: Map<string, unknown>) => t.set(key, { dtype: "I8", shape: [3], bytes: new Uint8Array(3) }),
      /dtype I8, expected F32/,
    ],
  ])("is refused with %s", (_, change, reason) => {
    const { config, model } = toPeftFiles(adapter, tasks.bert);
    const tensors = new Map(readSafetensors(model).tensors);
    change(tensors);

    const read = (): unknown => fromPeftFiles({ config, model: writeSafetensors(tensors) }, manifests.bert, tasks.bert);

    expect(read).toThrow(expect.objectContaining({ code: "adapter-invalid" }));
    expect(read).toThrow(reason);
  });

  test("is not written when its tensors are not those of its spec", () => {
    const tensors = new Map([...adapter.tensors].slice(1));

    expect(() => toPeftFiles({ ...adapter, tensors }, tasks.bert)).toThrow(/is missing/);
  });
});

describe("a config that cannot be represented is refused with its field:", () => {
  test.each([
    ["use_dora", true],
    ["bias", "all"],
    ["fan_in_fan_out", true],
    ["lora_bias", true],
    ["exclude_modules", ["query"]],
    ["layers_pattern", "layer"],
    ["layer_replication", [[0, 1]]],
    ["target_parameters", ["x"]],
    ["trainable_token_indices", [1]],
    ["alora_invocation_tokens", [1]],
    ["init_lora_weights", "pissa"],
    ["loftq_config", { loftq_bits: 4 }],
    ["something_of_next_year", 3],
    ["peft_type", "IA3"],
    ["r", 0],
    ["lora_alpha", -1],
    ["target_modules", []],
    ["task_type", "CAUSAL_LM"],
  ])("%s = %j", (field, value) => {
    const read = (): unknown => fromPeftConfig({ ...plainConfig, [field]: value }, manifests.bert, tasks.bert);

    expect(read).toThrow(expect.objectContaining({ code: "adapter-invalid" }));
    expect(read).toThrow(new RegExp(`adapter_config\\.json: ${field}`));
  });

  test("what is no object at all", () => {
    for (const json of [null, 1, "x", []]) {
      expect(() => fromPeftConfig(json, manifests.bert, tasks.bert)).toThrow(/adapter_config\.json/);
    }
    expect(() => fromPeftFiles({ config: "{", model: new Uint8Array() }, manifests.bert, tasks.bert)).toThrow(
      /not JSON/,
    );
  });
});

describe("a target that matches nothing", () => {
  test.each<[Partial<AdapterSpec>, RegExp]>([
    [
      { targetModules: ["query", "q_proj"] },
      /"q_proj" matches no module of the base model.*Modules end in dense, key, query, value/,
    ],
    [{ targetModules: ["qurey"] }, /"qurey" matches no module.*did you mean "query"/],
    [{ targetModules: ["attention.self.valu"] }, /did you mean "attention\.self\.value"/],
    [{ targetModules: ["uery"] }, /"uery" matches no module/],
    [{ targetModules: "query" }, /"query" matches no module/],
    [{ targetModules: ["classifier"] }, /"classifier" matches no module/],
    [{ layers: [7] }, /adapter\.layers \[7\] holds no module/],
    [{ rankPattern: { kee: 3 } }, /adapter\.rankPattern: "kee" matches no adapted module/],
    [{ alphaPattern: { value: 3 } }, /adapter\.alphaPattern: "value" matches no adapted module/],
    [{ modulesToSave: ["clasifier"] }, /"clasifier" is no head of the base model; did you mean "classifier"/],
  ])("is refused by name: %j", (fields, reason) => {
    expect(() => resolveBert(fields)).toThrow(expect.objectContaining({ code: "target-modules-unmatched" }));
    expect(() => resolveBert(fields)).toThrow(reason);
  });

  test("in a layer is told by the first number of a name, not by an expert's", () => {
    const module = { kind: "linear" as const, layer: 1, dIn: 4, dOut: 4 };
    const modules = [0, 1].map((expert) => ({ ...module, name: `model.layers.1.experts.${expert}.up` }));

    expect(matchTargetModules(modules, { targetModules: ["up"], layers: [1] }, [])).toEqual(modules);
    expect(() => matchTargetModules(modules, { targetModules: ["up"], layers: [0] }, [])).toThrow(/holds no module/);
  });

  test("layers go with a list alone", () => {
    expect(() => resolveBert({ targetModules: "all-linear", layers: [0] })).toThrow(/goes with a list/);
  });
});

test("the first pattern by name counts, however they were written", () => {
  const ranksOf = (rankPattern: Record<string, number>): number[] =>
    resolveBert({ rankPattern }).modules.map(({ rank }) => rank);

  expect(ranksOf({ query: 2, "attention.self.query": 3 })).toEqual([3, 3, 3]);
  expect(ranksOf({ "attention.self.query": 3, query: 2 })).toEqual([3, 3, 3]);
});

describe("patterns from elsewhere", () => {
  test.each([
    "(a+)+",
    "(a|b)*",
    "(.*)*x",
    "((a|b)c)+",
    "(?:x{2,})+",
    ".*".repeat(7),
    "(",
    "[z-a]",
    "(?i)query",
    "x".repeat(1001),
  ])("are refused where they could take for ever or are none: %s", (pattern) => {
    expect(() => resolveBert({ targetModules: pattern })).toThrow(expect.objectContaining({ code: "spec-invalid" }));
    expect(() => resolveBert({ targetModules: ["query"], rankPattern: { [pattern]: 2 } })).toThrow(
      expect.objectContaining({ code: "spec-invalid" }),
    );
  });
});

describe("defaults", () => {
  test("alpha is twice the rank, the head of a classifier is saved, that of a language model is not", () => {
    const { modules, heads } = resolveBert({});

    expect(modules[0]).toMatchObject({ rank: 4, alpha: 8, scaling: 2 });
    expect(heads).toEqual([{ name: "classifier", dIn: 8, dOut: 3, bias: true }]);
    expect(resolveAdapter(bertSpec({ targetModules: ["q_proj"] }), manifests.llama, tasks.llama).heads).toEqual([]);
    expect(resolveBert({ modulesToSave: [] }).heads).toEqual([]);
  });

  test("a head without a bias has none in the layout", () => {
    const heads = manifests.bert.heads.map((head) => ({ ...head, bias: false }));

    const resolved = resolveAdapter(bertSpec(), { ...manifests.bert, heads }, tasks.bert);

    expect(adapterLayout(resolved).map(({ name }) => name)).not.toContain("base_model.model.classifier.bias");
    expect([...initialAdapter(resolved, 0).keys()]).toEqual(adapterLayout(resolved).map(({ name }) => name));
  });

  test("a head sized by the task needs a task with labels", () => {
    const spec = bertSpec({ modulesToSave: ["classifier"] });

    expect(() => resolveAdapter(spec, manifests.bert, tasks.llama)).toThrow(/needs a task with labels/);
  });
});

describe("the initial adapter", () => {
  const resolved = resolveBert({ targetModules: "all-linear", rankPattern: { query: 16 } });
  const tensors = initialAdapter(resolved, 7);

  test("has exactly the layout, A within its bound, B and biases zero", () => {
    expect([...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }))).toEqual(adapterLayout(resolved));
    for (const [name, tensor] of tensors) {
      const values = toFloat32(tensor);
      const bound = 1 / Math.sqrt(tensor.shape[1] ?? 1);
      if (name.endsWith("lora_A.weight")) {
        expect(values.every((x) => Math.abs(x) <= bound)).toBe(true);
        expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(bound * 0.8);
      } else if (!name.endsWith("classifier.weight")) expect(values.every((x) => x === 0)).toBe(true);
    }
  });

  test("depends on the seed alone, tensor by tensor", () => {
    const fewer = initialAdapter(resolveBert({ rankPattern: { query: 16 } }), 7);

    expect(initialAdapter(resolved, 7)).toEqual(tensors);
    for (const [name, tensor] of fewer) expect(tensor).toEqual(tensors.get(name));
    const head = "base_model.model.classifier.weight";
    expect(initialAdapter(resolved, 8).get(head)).not.toEqual(tensors.get(head));
    const spread = toFloat32(tensors.get(head)!).reduce((sum, x) => sum + x * x, 0) / 24;
    expect(Math.sqrt(spread)).toBeGreaterThan(0.01);
    expect(Math.sqrt(spread)).toBeLessThan(0.03);
  });
});
