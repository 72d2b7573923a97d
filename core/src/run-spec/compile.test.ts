import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { resolveAdapter } from "../adapter/lora-config.js";
import { FedLoraError } from "../errors.js";
import type { ModelManifest } from "../model/manifest.js";
import { compileRunSpec, parseRunSpec } from "./compile.js";
import { runSpecJsonSchema } from "./json-schema.js";
import type { JsonSchema } from "./json-schema.js";
import { runSpecReference } from "./reference.js";

const hash = "ab".repeat(32);
const minimal = {
  name: "spam",
  model: { hash },
  task: { kind: "sequence-classification", labels: ["ham", "spam"] },
  adapter: { rank: 8, targetModules: ["query", "value"] },
  rounds: 5,
  cohort: { size: 5 },
};
const latent = { ...minimal, adapter: { ...minimal.adapter, variant: "latent" } };
const language = { ...minimal, task: { kind: "causal-lm" } };

const refusalOf = (run: () => unknown): FedLoraError => {
  try {
    run();
  } catch (error) {
    if (error instanceof FedLoraError) return error;
    throw error;
  }
  throw new Error("it was accepted");
};

/** `minimal` with the value at a dotted path replaced. */
function having(path: string, value: unknown, base: object = minimal): object {
  const copy = structuredClone(base) as Record<string, unknown>;
  const keys = path.split(".");
  let at = copy;
  for (const key of keys.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>;
  at[keys.at(-1)!] = value;
  return copy;
}

/** `minimal` with control variates and more of `training`. */
const scaffold = (training: object): object => having("training", { controlVariates: true, ...training });
const plainSgd = { optimizer: { kind: "sgd" } };

describe("a minimal spec", () => {
  test("gets every default, those that depend on other fields included", () => {
    expect(compileRunSpec(minimal)).toEqual({
      name: "spam",
      model: { hash },
      task: { kind: "sequence-classification", labels: ["ham", "spam"], positiveLabel: "spam", maxTokens: 128 },
      adapter: {
        rank: 8,
        alpha: 16,
        variant: "lora",
        init: { kind: "seeded" },
        rslora: false,
        dropout: 0,
        targetModules: ["query", "value"],
        rankPattern: {},
        alphaPattern: {},
      },
      method: { name: "fedavg", options: {} },
      rounds: 5,
      cohort: { size: 5, overSelection: 1, quorum: 3, seed: 0 },
      deadlines: {
        enrolMs: 600_000,
        roundMs: 1_800_000,
        evaluationMs: 600_000,
        aggregationMs: 3_600_000,
        silenceMs: 120_000,
      },
      training: {
        localEpochs: 1,
        batchSize: 8,
        gradientAccumulation: 1,
        optimizer: {
          kind: "adamw",
          momentum: 0,
          learningRate: 5e-4,
          loraPlusRatio: 1,
          beta1: 0.9,
          beta2: 0.999,
          epsilon: 1e-8,
          weightDecay: 0.01,
        },
        schedule: { kind: "constant", warmupSteps: 0 },
        controlVariates: false,
        maxGradNorm: 1,
        memory: "plain",
        seed: 0,
      },
      weighting: { kind: "by-examples", maxExamples: 1_000_000 },
      evaluation: { every: 1, metric: "loss" },
      limits: {},
      codec: "f32",
      errorFeedback: true,
      rankPlan: { kind: "uniform" },
      serverOptimizer: { kind: "none" },
      policy: { kind: "synchronous" },
      privacy: { mode: "none" },
      keepUpdates: false,
    });
  });

  test("keeps what is written, and compiles to itself", () => {
    const spec = compileRunSpec({ ...minimal, cohort: { size: 4, quorum: 4 }, training: { localSteps: 3 } });

    expect([spec.cohort.quorum, spec.training.localSteps, spec.training.localEpochs]).toEqual([4, 3, undefined]);
    expect(compileRunSpec(spec)).toEqual(spec);
  });
});

describe("fields that only go together are taken where they do:", () => {
  test.each([
    ["momentum with sgd", having("training", { optimizer: { kind: "sgd", momentum: 0.9 } })],
    ["control variates with plain sgd", scaffold(plainSgd)],
    ["gradients for latent adapters", having("adapter.init", { kind: "gradient" }, latent)],
    [
      "activations for LoRA, in fewer rounds than there are",
      having("adapter.init", { kind: "activation", iterations: 4 }),
    ],
    ["a file that is subtracted for LoRA", having("adapter.init", { kind: "file", hash, subtracted: true })],
    ["a buffer as large as the cohort", having("policy", { kind: "buffered", bufferSize: 5 })],
    ["a target that is measured", having("evaluation", { every: 2, target: 0.5 })],
  ])("%s", (_, input) => {
    expect(() => compileRunSpec(input)).not.toThrow();
  });
});

describe("a bad field is refused with path, got and allowed:", () => {
  const cases: [unknown, string, RegExp][] = [
    [having("adapter.rank", 0), "adapter.rank", /^adapter\.rank got 0: LoRA rank r of every adapted module; 1 to 256/],
    [having("adapter.rank", 257), "adapter.rank", /got 257/],
    [having("adapter.rank", 1.5), "adapter.rank", /got 1\.5/],
    [having("adapter.rank", "8"), "adapter.rank", /got "8"/],
    [having("adapter.rank", undefined), "adapter.rank", /^adapter\.rank is missing: LoRA rank/],
    [having("adapter.targetModules", []), "adapter.targetModules", /got \[\]: PEFT's target_modules/],
    [having("adapter.rankPattern", { query: 0 }), "adapter.rankPattern.query", /got 0/],
    [
      { ...minimal, adapter: { rank: 8, targetModules: "all-linear", layers: [0] } },
      "adapter.layers",
      /got \[0\]: goes with a list/,
    ],
    [having("adapter.rnak", 8), "adapter.rnak", /adapter\.rnak is not a field; did you mean "rank"\?/],
    [having("zzzzzzzz", 8), "zzzzzzzz", /zzzzzzzz is not a field; known are name, model, task/],
    [having("task.lables", []), "task.lables", /did you mean "labels"\?/],
    [having("task.maskPrompt", true), "task.maskPrompt", /is not a field; did you mean|known are kind, labels/],
    [
      having("task.kind", "regression"),
      "task.kind",
      /got "regression": allowed are sequence-classification, causal-lm/,
    ],
    [having("task.labels", ["a"]), "task.labels", /got \["a"\]: Label names/],
    [having("task.labels", ["a", "a"]), "task.labels", /two labels are equal/],
    [having("task.positiveLabel", "eggs"), "task.positiveLabel", /got "eggs": is not among the labels/],
    [having("training.memory", "lots"), "training.memory", /got "lots": allowed are plain, recompute/],
    [having("training", { localSteps: 1, localEpochs: 1 }), "training.localEpochs", /not both/],
    [having("training.optimizer.learningRate", 0), "training.optimizer.learningRate", /got 0: Peak learning rate/],
    [having("training.optimizer.lr", 1), "training.optimizer.lr", /training\.optimizer\.lr is not a field/],
    [having("cohort", { size: 3, quorum: 4 }), "cohort.quorum", /got 4: is larger than cohort\.size/],
    [having("cohort.overSelection", 0.5), "cohort.overSelection", /1 to 3/],
    [having("deadlines.roundMs", 1e10), "deadlines.roundMs", /up to a week/],
    [
      having("training.optimizer.momentum", 0.9),
      "training.optimizer.momentum",
      /got 0\.9: goes with optimizer\.kind sgd/,
    ],
    [scaffold({}), "training.controlVariates", /optimizer\.kind sgd with momentum 0/],
    [scaffold({ optimizer: { kind: "sgd", momentum: 0.9 } }), "training.controlVariates", /momentum 0/],
    [scaffold({ ...plainSgd, schedule: { kind: "cosine" } }), "training.controlVariates", /schedule\.kind constant/],
    [scaffold({ ...plainSgd, schedule: { warmupSteps: 5 } }), "training.controlVariates", /warmupSteps 0/],
    [
      having("training.optimizer.loraPlusRatio", 4, latent),
      "training.optimizer.loraPlusRatio",
      /needs adapter\.variant lora/,
    ],
    [
      having("adapter.init", { kind: "gradient" }),
      "adapter.init.kind",
      /got "gradient": .*needs adapter\.variant latent/,
    ],
    [having("adapter.init", { kind: "activation" }, latent), "adapter.init.kind", /needs adapter\.variant lora/],
    [
      having("adapter.init", { kind: "file", hash, subtracted: true }, latent),
      "adapter.init.subtracted",
      /got true: .*needs adapter\.variant lora/,
    ],
    [
      having("adapter.init", { kind: "activation", iterations: 5 }),
      "rounds",
      /got 5: must be more than adapter\.init takes/,
    ],
    [{ ...having("adapter.init", { kind: "gradient" }, latent), rounds: 1 }, "rounds", /nothing would be trained/],
    [having("policy", { kind: "buffered", bufferSize: 6 }), "policy.bufferSize", /got 6: is larger than cohort\.size/],
    [
      having("policy", { kind: "buffered", bufferSize: 2 }, having("adapter.init", { kind: "activation" })),
      "policy.kind",
      /got "buffered": .*sketches of other rounds/,
    ],
    [having("evaluation", { every: 0, target: 0.5 }), "evaluation.target", /got 0\.5: is never measured/],
    [having("evaluation", { metric: "f1" }, language), "evaluation.metric", /needs a classification task/],
    [having("evaluation", { metric: "accuracy", target: 95 }), "evaluation.target", /out of the metric's range/],
    [having("weighting", { kind: "by-size" }), "weighting.kind", /allowed are uniform, by-examples/],
    [having("model.hash", "abc"), "model.hash", /64 hex digits/],
    [having("name", "Spam!"), "name", /lower-case/],
    [having("codec", "zip"), "codec", /got "zip": Coding of updates on the wire: f32, f16, bf16, int8:BLOCK/],
    [having("codec", "topk:0.0"), "codec", /got "topk:0.0": .*share of values kept, 0\.000001 to 1/],
    [having("limits.maxUpdateNorm", Infinity), "limits.maxUpdateNorm", /got Infinity: .*above 0/],
    [null, "the run spec", /the run spec/],
    [[], "the run spec", /the run spec/],
    ["text", "the run spec", /the run spec/],
  ];

  test.each(cases.map(([input, path, reason]) => ({ input, path, reason })))(
    "$path: $reason",
    ({ input, path, reason }) => {
      const error = refusalOf(() => compileRunSpec(input));

      expect(error.code).toBe("spec-invalid");
      expect(error.details["path"]).toBe(path);
      expect(error.message).toMatch(reason);
    },
  );

  test("several at once, a line each", () => {
    const error = refusalOf(() => compileRunSpec({ ...minimal, rounds: 0, colour: "red", codec: "f8" }));

    expect(error.message.split("\n")).toHaveLength(3);
  });

  test("whatever it is, there is a code and no other error", () => {
    const keys = fc.constantFrom(...Object.keys(minimal), "training", "evaluation", "kind", "__proto__", "x");
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(undefined, NaN, "causal-lm", 1n, () => 1),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(keys, fc.oneof(value, fc.dictionary(keys, value)))), (changes) => {
        const input = { ...minimal, ...Object.fromEntries(changes) };
        try {
          compileRunSpec(input);
        } catch (error) {
          expect(error).toMatchObject({ code: "spec-invalid" });
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("with the base model's manifest", () => {
  const module = {
    name: "bert.encoder.layer.0.attention.self.query",
    kind: "linear",
    layer: 0,
    dIn: 16,
    dOut: 16,
  } as const;
  const manifest: ModelManifest = {
    format: "fedlora-model/1",
    family: "bert",
    name: "tiny",
    hash: hash as ModelManifest["hash"],
    numLayers: 1,
    numParameters: 1,
    modules: [module, { ...module, name: "bert.encoder.layer.0.attention.self.value" }],
    heads: [{ name: "classifier", kind: "linear", dIn: 4, dOut: null }],
    tensors: [],
  };

  test("a spec that fits is taken", () => {
    expect(compileRunSpec(minimal, { manifest })).toEqual(compileRunSpec(minimal));
  });

  test("another hash and a target that matches nothing are refused", () => {
    expect(refusalOf(() => compileRunSpec(having("model.hash", "cd".repeat(32)), { manifest }))).toMatchObject({
      code: "model-hash-mismatch",
      message: expect.stringContaining(hash),
    });
    expect(refusalOf(() => compileRunSpec(having("adapter.targetModules", ["q_proj"]), { manifest }))).toMatchObject({
      code: "target-modules-unmatched",
      message: expect.stringContaining("q_proj"),
    });
  });

  test("a rank above a module's smaller side is refused by the module's name, but for VeRA", () => {
    const small = { ...manifest, modules: manifest.modules.map((each) => ({ ...each, dIn: 9, dOut: 4 })) };

    expect(refusalOf(() => compileRunSpec(having("adapter.rank", 5), { manifest: small }))).toMatchObject({
      code: "spec-invalid",
      message: expect.stringMatching(/adapter\.rank: 5 .*"bert\.encoder\.layer\.0\.attention\.self\.query" \[4, 9\]/),
    });
    const vera = { ...minimal, adapter: { ...minimal.adapter, rank: 5, variant: "vera" } };
    expect(compileRunSpec(vera, { manifest: small }).adapter.rank).toBe(5);
  });
});

describe("a LEGEND plan", () => {
  const layers = [0, 1, 2, 11];
  const module = (layer: number, kind: string): ModelManifest["modules"][number] => ({
    name: `bert.encoder.layer.${layer}.attention.self.${kind}`,
    kind: "linear",
    dIn: 16,
    dOut: 16,
    layer,
  });
  const manifest: ModelManifest = {
    format: "fedlora-model/1",
    family: "bert",
    name: "tiny",
    hash: hash as ModelManifest["hash"],
    numLayers: 12,
    numParameters: 1,
    modules: layers.flatMap((layer) => [module(layer, "query"), module(layer, "value")]),
    heads: [{ name: "classifier", kind: "linear", dIn: 16, dOut: null }],
    tensors: [],
  };
  const legend = (plan: object = {}, adapter: object = {}): object => ({
    ...minimal,
    adapter: { ...minimal.adapter, alpha: 12, ...adapter },
    method: { name: "legend" },
    rankPlan: { kind: "legend", ...plan },
  });
  const resolved = (spec: object): readonly (readonly [number, number])[] => {
    const { adapter, task } = compileRunSpec(spec, { manifest });
    return resolveAdapter(adapter, manifest, task).modules.map(({ rank, scaling }) => [rank, scaling] as const);
  };

  test("gives the adapter ranks that grow towards the output, every scaling that of adapter.rank", () => {
    expect(resolved(legend({ rankStep: 2 }))).toEqual([2, 2, 4, 4, 6, 6, 8, 8].map((rank) => [rank, 1.5]));
    expect(resolved(legend({ rankStep: 2, totalRank: 12, minRank: 1 }))).toEqual(
      [1, 1, 2, 2, 4, 4, 5, 5].map((rank) => [rank, 1.5]),
    );
    const stabilised = resolved(legend({ rankStep: 2 }, { rslora: true }));
    stabilised.forEach(([, scaling]) => expect(scaling).toBeCloseTo(12 / Math.sqrt(8), 12));
    expect(resolved(legend({ rankStep: 0 }))).toEqual(Array.from({ length: 8 }, () => [8, 1.5]));
  });

  test("compiles to itself, with and without the model at hand", () => {
    const spec = compileRunSpec(legend({ rankStep: 2 }), { manifest });
    expect(Object.keys(spec.adapter.rankPattern)).toHaveLength(4);
    expect(compileRunSpec(spec, { manifest })).toEqual(spec);
    expect(compileRunSpec(spec)).toEqual(spec);
  });

  test.each([
    [legend({}, { rankPattern: { query: 4 } }), "adapter.rankPattern"],
    [legend({}, { alphaPattern: { query: 4 } }), "adapter.alphaPattern"],
    [legend({ minRank: 9 }), "rankPlan.minRank"],
    [legend({ minDepth: 5 }), "rankPlan.minDepth"],
    [legend({ totalRank: 33 }), "rankPlan.totalRank"],
    [legend({ minRank: 2, totalRank: 7 }), "rankPlan.totalRank"],
  ])("what does not fit is refused: %#", (spec, path) => {
    expect(refusalOf(() => compileRunSpec(spec, { manifest }))).toMatchObject({
      code: "spec-invalid",
      message: expect.stringContaining(path),
      details: { path },
    });
  });
});

describe("text", () => {
  test("in YAML and in JSON gives the same spec", () => {
    const yaml = `
name: spam
model: { hash: "${hash}" } # a comment
task: { kind: sequence-classification, labels: [ham, spam] }
adapter:
  rank: 8
  targetModules: [query, value]
rounds: 5
cohort: { size: 5 }
`;
    expect(parseRunSpec(yaml)).toEqual(compileRunSpec(minimal));
    expect(parseRunSpec(JSON.stringify(minimal, null, "\t"))).toEqual(compileRunSpec(minimal));
  });

  test.each([
    ["a broken YAML", "name: [", /not YAML/],
    ["a key twice in YAML", "name: a\nname: b", /Map keys must be unique/],
    ["a key twice in JSON", '{"name":"a","name":"b"}', /"name" appears twice/],
    ["a broken JSON", '{"name":', /not strict JSON/],
    ["an alias", "name: &a x\nmodel: *a", /Alias/],
    [
      "an alias bomb",
      `a: &a [${"x,".repeat(9)}]\n${"bcdefgh".replaceAll(/./g, (c) => `${c}: &${c} [${`*${String.fromCharCode(c.charCodeAt(0) - 1)},`.repeat(9)}]\n`)}`,
      /Alias/,
    ],
    ["a tag", "name: !!js/function 'x'", /not YAML/],
    ["a second document", "name: a\n---\nname: b", /not YAML/],
    ["too much", "#".repeat(2 ** 20 + 1), /at most 1048576/],
    ["nothing", "", /the run spec got null/],
    ["a prototype key", "__proto__: { rounds: 3 }", /./],
  ])("with %s is refused", (_, text, reason) => {
    const error = refusalOf(() => parseRunSpec(text));

    expect(error.code).toBe("spec-invalid");
    expect(error.message).toMatch(reason);
  });
});

describe("every field", () => {
  const leavesOf = (node: JsonSchema, path: string): [string, JsonSchema][] => [
    ...(path === "" ? [] : [[path, node] as [string, JsonSchema]]),
    ...Object.entries(node.properties ?? {}).flatMap(([key, child]) => leavesOf(child, `${path}.${key}`)),
    ...[...(node.oneOf ?? []), ...(node.anyOf ?? [])].flatMap((branch) =>
      Object.entries(branch.properties ?? {}).flatMap(([key, child]) => leavesOf(child, `${path}.${key}`)),
    ),
  ];
  const leaves = leavesOf(runSpecJsonSchema(), "");

  test("has a description", () => {
    expect(leaves.length).toBeGreaterThan(50);
    expect(leaves.filter(([, { description }]) => description === undefined).map(([path]) => path)).toEqual([]);
  });

  test("that has a default says so in the description", () => {
    const plain = leaves.filter(([, node]) => node.default !== undefined && typeof node.default !== "object");

    const silent = plain.filter(([, { default: value, description }]) => {
      const texts = [String(value), Number(value).toExponential().replace("+", "")];
      return !texts.some((text) => new RegExp(`default:? ${text.replaceAll(".", "\\.")}\\b`).test(description ?? ""));
    });

    expect(silent.map(([path]) => path)).toEqual([]);
  });

  test("is in docs/reference/run-spec.md, which `node scripts/gen-reference.mjs` writes", () => {
    const page = readFileSync(new URL("../../../docs/reference/run-spec.md", import.meta.url), "utf8");

    expect(page).toBe(runSpecReference());
    expect(parseRunSpec(/```yaml\n([^`]*)```/.exec(page)![1]!).name).toBe("spam");
  });
});
