import type { AdaptableModule, TensorSpec } from "@fedlora/core";
import { z } from "zod";
import type { ForwardContext, ForwardResult, ModelFamily } from "../family.js";
import type { Value } from "../ops.js";
import { parseModelConfig, requireDivides } from "./parse-config.js";

const schema = z.object({
  vocab_size: z.int().min(1),
  hidden_size: z.int().min(1),
  num_hidden_layers: z.int().min(1),
  num_attention_heads: z.int().min(1),
  intermediate_size: z.int().min(1),
  max_position_embeddings: z.int().min(1).default(512),
  type_vocab_size: z.int().min(1).default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_act: z.enum(["gelu", "gelu_new", "gelu_pytorch_tanh"]).default("gelu"),
  position_embedding_type: z.literal("absolute").default("absolute"),
  is_decoder: z.literal(false).default(false),
});

export type BertConfig = z.output<typeof schema>;

/**
 * BERT (Devlin et al. 2019) as Hugging Face's BertModel and BertForSequenceClassification: token type 0, dropout off in
 * the base model. A classifier is `classifier(tanh(pooler([CLS])))`; it reads one position, so the last layer computes no
 * other beyond the keys and values that this one attends to.
 */
export const bertFamily: ModelFamily<BertConfig> = {
  name: "bert",
  modelTypes: ["bert", "BertModel", "BertForSequenceClassification"],
  tasks: ["sequence-classification", "embedding"],

  parseConfig(json) {
    const config = parseModelConfig("bert", schema, json);
    requireDivides("bert", ["num_attention_heads", config.num_attention_heads], ["hidden_size", config.hidden_size]);
    return config;
  },

  describe(config) {
    const modules = linearModules(config);
    return {
      numLayers: config.num_hidden_layers,
      modules,
      heads: [{ name: "classifier", kind: "linear", dIn: config.hidden_size, dOut: null }],
      weights: [...embeddingWeights(config), ...modules.flatMap(weightsOf), ...layerNormWeights(config)],
      pooledModules: modules.filter((module) => seesFirstTokens(config, module)).map(({ name }) => name),
    };
  },

  canonicalName(stored) {
    // Checkpoints converted from TensorFlow call the parameters of layer norms gamma and beta.
    const name = stored.replace(/LayerNorm\.gamma$/, "LayerNorm.weight").replace(/LayerNorm\.beta$/, "LayerNorm.bias");
    if (name.endsWith("position_ids")) return undefined;
    if (/^(bert|classifier)\./.test(name)) return name;
    return /^(embeddings|encoder|pooler)\./.test(name) ? `bert.${name}` : undefined;
  },

  forward(context, config): ForwardResult {
    const { ops, request } = context;
    let x = embed(context, config);
    const mask = ops.additiveMask(context.attentionMask, false);
    const isClassified = request.task.kind === "sequence-classification";
    for (let index = 0; index < config.num_hidden_layers; index++) {
      const isPooled = isClassified && index === config.num_hidden_layers - 1;
      x = context.layer(index, x, (input) => layer(context, config, index, { input, mask, isPooled }));
    }
    if (!isClassified) return { hidden: x, logits: undefined, outputWeight: undefined };
    const pooled = ops.tanh(context.linear("bert.pooler.dense", x));
    return { hidden: x, logits: context.linear("classifier", pooled), outputWeight: undefined };
  },
};

/** x [B * T, d] -> its rows of each text's first token, [CLS]: [B, d] */
function firstTokens({ ops, request: { batch, length } }: ForwardContext, x: Value): Value {
  const d = x.shape[1] ?? 0;
  return ops.reshape(ops.slice(ops.reshape(x, [batch, length, d]), [0, 0, 0], [batch, 1, -1]), [batch, d]);
}

/** In the last layer of a classification only keys and values are of every token. */
function seesFirstTokens(config: BertConfig, { name, layer }: AdaptableModule): boolean {
  return layer === config.num_hidden_layers - 1 && !/\.self\.(key|value)$/.test(name);
}

/** [B * T, d] */
function embed({ ops, request, tokens, weight }: ForwardContext, config: BertConfig): Value {
  const [batch, length, d] = [request.batch, request.length, config.hidden_size];
  const table = (name: string): Value => weight(`bert.embeddings.${name}.weight`);
  const words = ops.lookup(table("word_embeddings"), tokens);
  const positions = ops.slice(table("position_embeddings"), [0, 0], [length, d]);
  const type = ops.slice(table("token_type_embeddings"), [0, 0], [1, d]);
  const sum = ops.add(words, ops.add(positions, type));
  return ops.layerNorm(
    ops.reshape(sum, [batch * length, d]),
    weight("bert.embeddings.LayerNorm.weight"),
    weight("bert.embeddings.LayerNorm.bias"),
    config.layer_norm_eps,
  );
}

/** @returns [B * T, d]; [B, d] where `isPooled` asks for the first token of each text alone */
function layer(
  context: ForwardContext,
  config: BertConfig,
  index: number,
  { input, mask, isPooled }: { readonly input: Value; readonly mask: Value; readonly isPooled: boolean },
): Value {
  const { ops, request, weight } = context;
  const x = isPooled ? firstTokens(context, input) : input;
  const prefix = `bert.encoder.layer.${index}`;
  const linear = (name: string, value: Value): Value => context.linear(`${prefix}.${name}`, value);
  const norm = (name: string, value: Value): Value =>
    ops.layerNorm(
      value,
      weight(`${prefix}.${name}.LayerNorm.weight`),
      weight(`${prefix}.${name}.LayerNorm.bias`),
      config.layer_norm_eps,
    );
  const heads = (name: string, value: Value): Value =>
    ops.splitHeads(linear(`attention.self.${name}`, value), request.batch, config.num_attention_heads);
  const attended = ops.mergeHeads(ops.attention(heads("query", x), heads("key", input), heads("value", input), mask));
  const middle = norm("attention.output", ops.add(linear("attention.output.dense", attended), x));
  const raw = linear("intermediate.dense", middle);
  const activated = config.hidden_act === "gelu" ? ops.gelu(raw) : ops.geluTanh(raw);
  return norm("output", ops.add(linear("output.dense", activated), middle));
}

function linearModules(config: BertConfig): AdaptableModule[] {
  const [d, ffn] = [config.hidden_size, config.intermediate_size];
  const linear = (name: string, dIn: number, dOut: number, layer: number | null): AdaptableModule => ({
    name: `bert.${name}`,
    kind: "linear",
    dIn,
    dOut,
    layer,
  });
  const ofLayer = (index: number): AdaptableModule[] =>
    [
      ["attention.self.query", d, d],
      ["attention.self.key", d, d],
      ["attention.self.value", d, d],
      ["attention.output.dense", d, d],
      ["intermediate.dense", d, ffn],
      ["output.dense", ffn, d],
    ].map(([name, dIn, dOut]) => linear(`encoder.layer.${index}.${String(name)}`, Number(dIn), Number(dOut), index));
  return [
    ...Array.from({ length: config.num_hidden_layers }, (_, index) => ofLayer(index)).flat(),
    linear("pooler.dense", d, d, null),
  ];
}

function weightsOf(module: AdaptableModule): TensorSpec[] {
  return [
    { name: `${module.name}.weight`, dtype: "F32", shape: [module.dOut, module.dIn] },
    { name: `${module.name}.bias`, dtype: "F32", shape: [module.dOut] },
  ];
}

function embeddingWeights(config: BertConfig): TensorSpec[] {
  const rows: readonly (readonly [string, number])[] = [
    ["word_embeddings", config.vocab_size],
    ["position_embeddings", config.max_position_embeddings],
    ["token_type_embeddings", config.type_vocab_size],
  ];
  return rows.map(([name, count]) => ({
    name: `bert.embeddings.${name}.weight`,
    dtype: "F32",
    shape: [count, config.hidden_size],
  }));
}

function layerNormWeights(config: BertConfig): TensorSpec[] {
  const layers = Array.from({ length: config.num_hidden_layers }, (_, index) => `bert.encoder.layer.${index}`);
  const norms = ["bert.embeddings", ...layers.flatMap((name) => [`${name}.attention.output`, `${name}.output`])];
  return norms.flatMap((name) =>
    ["weight", "bias"].map((part) => ({
      name: `${name}.LayerNorm.${part}`,
      dtype: "F32" as const,
      shape: [config.hidden_size],
    })),
  );
}
