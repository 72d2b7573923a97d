import { FedLoraError } from "@fedlora/core";
import type { AdaptableModule, TensorSpec } from "@fedlora/core";
import { z } from "zod";
import type { ForwardContext, ForwardResult, ModelFamily } from "../family.js";
import type { RopeTables, Value } from "../ops.js";
import { parseModelConfig, requireDivides } from "./parse-config.js";

const schema = z
  .object({
    vocab_size: z.int().min(1),
    hidden_size: z.int().min(1),
    intermediate_size: z.int().min(1),
    num_hidden_layers: z.int().min(1),
    num_attention_heads: z.int().min(1),
    num_key_value_heads: z.int().min(1).nullish(),
    head_dim: z.int().min(2).nullish(),
    max_position_embeddings: z.int().min(1).default(2048),
    rms_norm_eps: z.number().positive().default(1e-6),
    rope_theta: z.number().positive().optional(),
    // Newer configs hold both in one object.
    rope_parameters: z
      .object({ rope_theta: z.number().positive().optional(), rope_type: z.literal("default").default("default") })
      .nullish(),
    rope_scaling: z.null().optional(),
    // llama2.c's files rotate adjacent pairs; Hugging Face's rotate halves.
    rope_interleaved: z.boolean().default(false),
    tie_word_embeddings: z.boolean().default(false),
    hidden_act: z.literal("silu").default("silu"),
    attention_bias: z.literal(false).default(false),
    mlp_bias: z.literal(false).default(false),
  })
  .transform((json) => ({
    ...json,
    num_key_value_heads: json.num_key_value_heads ?? json.num_attention_heads,
    head_dim: json.head_dim ?? json.hidden_size / json.num_attention_heads,
    rope_theta: json.rope_parameters?.rope_theta ?? json.rope_theta ?? 10_000,
  }));

export type LlamaConfig = z.output<typeof schema>;

/** Llama (Touvron et al. 2023) as Hugging Face's LlamaForCausalLM: RMSNorm, RoPE, grouped-query attention, SwiGLU. */
export const llamaFamily: ModelFamily<LlamaConfig> = {
  name: "llama",
  modelTypes: ["llama", "LlamaForCausalLM"],
  tasks: ["causal-lm"],

  parseConfig(json) {
    const config = parseModelConfig("llama", schema, json);
    const { num_attention_heads: heads, num_key_value_heads: kvHeads, hidden_size: d, head_dim: headDim } = config;
    requireDivides("llama", ["num_key_value_heads", kvHeads], ["num_attention_heads", heads]);
    if (!Number.isInteger(headDim)) requireDivides("llama", ["num_attention_heads", heads], ["hidden_size", d]);
    if (headDim % 2 !== 0) {
      throw new FedLoraError("model-unsupported", `config.json of a llama model: head_dim ${headDim} must be even`, {
        details: { field: "head_dim" },
      });
    }
    return config;
  },

  describe(config) {
    const modules = Array.from({ length: config.num_hidden_layers }, (_, index) => modulesOf(config, index)).flat();
    const d = config.hidden_size;
    const norms = Array.from({ length: config.num_hidden_layers }, (_, index) => [
      `model.layers.${index}.input_layernorm.weight`,
      `model.layers.${index}.post_attention_layernorm.weight`,
    ]).flat();
    return {
      numLayers: config.num_hidden_layers,
      modules,
      heads: [],
      weights: [
        ...tables(config).map((name): TensorSpec => ({ name, dtype: "F32", shape: [config.vocab_size, d] })),
        ...modules.map(({ name, dIn, dOut }): TensorSpec => ({
          name: `${name}.weight`,
          dtype: "F32",
          shape: [dOut, dIn],
        })),
        ...[...norms, "model.norm.weight"].map((name): TensorSpec => ({ name, dtype: "F32", shape: [d] })),
      ],
    };
  },

  canonicalName(stored, config) {
    if (stored.endsWith("rotary_emb.inv_freq")) return undefined;
    if (stored === "lm_head.weight") return config.tie_word_embeddings ? undefined : stored;
    if (stored.startsWith("model.")) return stored;
    return /^(embed_tokens|layers|norm)\./.test(stored) ? `model.${stored}` : undefined;
  },

  forward(context, config): ForwardResult {
    const { ops, request, weight } = context;
    const { batch, length } = request;
    const words = ops.lookup(weight("model.embed_tokens.weight"), context.tokens);
    const mask = ops.additiveMask(context.attentionMask, true);
    const layout = config.rope_interleaved ? "interleaved" : "half-split";
    const tables = ops.ropeTables(length, config.head_dim, config.rope_theta, layout);
    let x = ops.reshape(words, [batch * length, config.hidden_size]);
    for (let index = 0; index < config.num_hidden_layers; index++) {
      x = context.layer(index, x, (input) => layer(context, config, index, input, mask, tables));
    }
    return {
      hidden: ops.rmsNorm(x, weight("model.norm.weight"), config.rms_norm_eps),
      logits: undefined,
      outputWeight: config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight",
    };
  },
};

function layer(
  context: ForwardContext,
  config: LlamaConfig,
  index: number,
  x: Value,
  mask: Value,
  tables: RopeTables,
): Value {
  const { ops, request, weight } = context;
  const prefix = `model.layers.${index}`;
  const linear = (name: string, input: Value): Value => context.linear(`${prefix}.${name}`, input);
  const norm = (name: string, input: Value): Value =>
    ops.rmsNorm(input, weight(`${prefix}.${name}.weight`), config.rms_norm_eps);
  const input = norm("input_layernorm", x);
  const heads = (name: string, count: number): Value =>
    ops.splitHeads(linear(`self_attn.${name}`, input), request.batch, count);
  const queries = ops.rope(heads("q_proj", config.num_attention_heads), tables);
  const keys = ops.rope(heads("k_proj", config.num_key_value_heads), tables);
  const values = heads("v_proj", config.num_key_value_heads);
  const attended = ops.mergeHeads(ops.attention(queries, keys, values, mask));
  const middle = ops.add(x, linear("self_attn.o_proj", attended));
  const second = norm("post_attention_layernorm", middle);
  const gated = ops.multiply(ops.silu(linear("mlp.gate_proj", second)), linear("mlp.up_proj", second));
  return ops.add(middle, linear("mlp.down_proj", gated));
}

function tables(config: LlamaConfig): string[] {
  return config.tie_word_embeddings ? ["model.embed_tokens.weight"] : ["model.embed_tokens.weight", "lm_head.weight"];
}

function modulesOf(config: LlamaConfig, layer: number): AdaptableModule[] {
  const [d, ffn] = [config.hidden_size, config.intermediate_size];
  const [qDim, kvDim] = [config.num_attention_heads * config.head_dim, config.num_key_value_heads * config.head_dim];
  const linear = (name: string, dIn: number, dOut: number): AdaptableModule => ({
    name: `model.layers.${layer}.${name}`,
    kind: "linear",
    dIn,
    dOut,
    layer,
  });
  return [
    linear("self_attn.q_proj", d, qDim),
    linear("self_attn.k_proj", d, kvDim),
    linear("self_attn.v_proj", d, kvDim),
    linear("self_attn.o_proj", qDim, d),
    linear("mlp.gate_proj", d, ffn),
    linear("mlp.up_proj", d, ffn),
    linear("mlp.down_proj", ffn, d),
  ];
}
