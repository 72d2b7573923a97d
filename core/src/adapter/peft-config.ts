import { z } from "zod";
import { FedLoraError } from "../errors.js";
import type { ModelManifest } from "../model/manifest.js";
import { adapterSchema } from "../run-spec/schema.js";
import type { AdapterSpec, TaskSpec } from "../run-spec/schema.js";
import type { ResolvedAdapter } from "./lora-config.js";
import { classifierHeadNames } from "./target-modules.js";

const peftTaskType = { "sequence-classification": "SEQ_CLS", "causal-lm": "CAUSAL_LM" } as const;

const listOf = <T extends z.ZodType>(item: T): z.ZodArray<T> => z.array(item).max(10_000);
const maybe = <T extends z.ZodType>(type: T): z.ZodOptional<z.ZodNullable<T>> => type.nullable().optional();

/** What a LoraConfig holds that a spec can hold too. Other fields are kept for the check in `assertPlainLora`. */
const configSchema = z.looseObject({
  peft_type: z.literal("LORA"),
  task_type: maybe(z.string()),
  base_model_name_or_path: maybe(z.string()),
  r: z.int().min(1).max(256),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).max(0.9).default(0),
  target_modules: z.union([z.string().min(1), listOf(z.string().min(1)).min(1)]),
  layers_to_transform: maybe(z.union([z.int().min(0), listOf(z.int().min(0))])),
  modules_to_save: maybe(listOf(z.string().min(1))),
  rank_pattern: maybe(z.record(z.string(), z.int().min(1).max(256))),
  alpha_pattern: maybe(z.record(z.string(), z.number().positive())),
  use_rslora: z.boolean().default(false),
  bias: z.literal("none").default("none"),
  // Those that change the base weights would make it another model.
  init_lora_weights: z.union([z.boolean(), z.literal(["gaussian", "eva", "orthogonal"])]).default(true),
});

/** Fields that say nothing about the adapter's mathematics once it is trained. */
const harmless = new Set([
  ...["auto_mapping", "revision", "peft_version", "inference_mode", "megatron_core", "qalora_group_size", "eva_config"],
  "runtime_config",
]);

/** PEFT's `adapter_config.json` of an adapter, as a value; keys as PEFT's LoraConfig has them. */
export function toPeftConfig(
  spec: AdapterSpec,
  resolved: ResolvedAdapter,
  task: TaskSpec,
  baseModel: string | null = null,
): Readonly<Record<string, unknown>> {
  const isAllLinear = typeof spec.targetModules === "string" && spec.targetModules.toLowerCase() === "all-linear";
  const heads = resolved.heads.map(({ name }) => name);
  return {
    alpha_pattern: spec.alphaPattern,
    auto_mapping: null,
    base_model_name_or_path: baseModel,
    bias: "none",
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: spec.layers ?? null,
    lora_alpha: spec.alpha ?? 2 * spec.rank,
    lora_dropout: spec.dropout,
    modules_to_save: heads.length === 0 ? null : heads,
    peft_type: "LORA",
    r: spec.rank,
    rank_pattern: spec.rankPattern,
    revision: null,
    // Spelt out as PEFT does when it saves, so that no reader has to know which module is the head.
    target_modules: isAllLinear ? resolved.modules.map(({ name }) => name).sort() : spec.targetModules,
    task_type: peftTaskType[task.kind],
    use_dora: false,
    use_rslora: spec.rslora,
  };
}

/**
 * The adapter spec of an `adapter_config.json`.
 *
 * Everything that a spec cannot express must be switched off (null, false or empty): DoRA, biases, transposed weights,
 * excluded modules, replicated layers, and whatever later versions of PEFT add.
 *
 * @param json the parsed file
 * @throws FedLoraError `adapter-invalid` naming the field
 */
export function fromPeftConfig(
  json: unknown,
  manifest: Pick<ModelManifest, "heads">,
  task: TaskSpec,
): { readonly spec: AdapterSpec; readonly baseModel: string | undefined } {
  const parsed = configSchema.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0] ?? { path: [], message: "invalid" };
    return refuse(`${path.join(".") || "the file"}: ${message}`);
  }
  const config = parsed.data;
  assertPlainLora(config);
  const expected = peftTaskType[task.kind];
  if (config.task_type != null && config.task_type !== expected) {
    refuse(`task_type is ${config.task_type}, the task ${task.kind} needs ${expected}`);
  }
  const layers = config.layers_to_transform;
  const adapter = adapterSchema.safeParse({
    rank: config.r,
    alpha: config.lora_alpha,
    rslora: config.use_rslora,
    dropout: config.lora_dropout,
    targetModules: config.target_modules,
    ...(layers == null ? {} : { layers: typeof layers === "number" ? [layers] : layers }),
    rankPattern: config.rank_pattern ?? {},
    alphaPattern: config.alpha_pattern ?? {},
    modulesToSave: savedModules(config.modules_to_save ?? [], manifest, task),
  });
  if (!adapter.success) return refuse(z.prettifyError(adapter.error));
  return { spec: adapter.data, baseModel: config.base_model_name_or_path ?? undefined };
}

/** PEFT lists `classifier` and `score` for every classifier; those that the model lacks are left out. */
function savedModules(names: readonly string[], { heads }: Pick<ModelManifest, "heads">, task: TaskSpec): string[] {
  const generic: readonly string[] = task.kind === "sequence-classification" ? classifierHeadNames : [];
  return [...new Set(names)].filter(
    (name) => !generic.includes(name) || heads.some((head) => head.name === name || head.name.endsWith(`.${name}`)),
  );
}

function assertPlainLora(config: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(config)) {
    const isOff =
      value === null ||
      value === undefined ||
      value === false ||
      (typeof value === "object" && Object.keys(value).length === 0);
    const isUsed = Object.hasOwn(configSchema.shape, key);
    if (!isOff && !isUsed && !harmless.has(key)) {
      refuse(`${key} is ${JSON.stringify(value).slice(0, 80)}, which fedlora cannot represent`);
    }
  }
}

function refuse(problem: string): never {
  throw new FedLoraError("adapter-invalid", `adapter_config.json: ${problem}`);
}
