import { describe, expect, test } from "vitest";
import { bertFamily } from "./bert.js";
import { llamaFamily } from "./llama.js";

const bert = { vocab_size: 10, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 12 };
const llama = { ...bert, num_attention_heads: 4, num_key_value_heads: 2 };

describe("bert", () => {
  const config = bertFamily.parseConfig(bert);

  test.each([
    ["embeddings.word_embeddings.weight", "bert.embeddings.word_embeddings.weight"],
    ["bert.encoder.layer.0.output.LayerNorm.gamma", "bert.encoder.layer.0.output.LayerNorm.weight"],
    ["encoder.layer.0.output.LayerNorm.beta", "bert.encoder.layer.0.output.LayerNorm.bias"],
    ["pooler.dense.bias", "bert.pooler.dense.bias"],
    ["classifier.weight", "classifier.weight"],
    ["bert.embeddings.position_ids", undefined],
    ["embeddings.position_ids", undefined],
    ["cls.predictions.bias", undefined],
  ])("calls %s %s", (stored, canonical) => {
    expect(bertFamily.canonicalName(stored, config)).toBe(canonical);
  });

  test("describes every module with its weights", () => {
    const { modules, heads, weights } = bertFamily.describe(config);

    expect(modules.map(({ name }) => name)).toContain("bert.encoder.layer.0.intermediate.dense");
    expect(modules.find(({ name }) => name === "bert.pooler.dense")?.layer).toBeNull();
    expect(heads).toEqual([{ name: "classifier", kind: "linear", dIn: 8, dOut: null }]);
    // 3 embeddings and their norm, 6 linear layers and 2 norms, the pooler.
    expect(weights).toHaveLength(3 + 2 + 6 * 2 + 2 * 2 + 2);
    expect(new Set(weights.map(({ name }) => name)).size).toBe(weights.length);
  });

  test.each([
    [{ hidden_size: undefined }, "hidden_size"],
    [{ num_attention_heads: 3 }, "num_attention_heads"],
    [{ hidden_act: "relu" }, "hidden_act"],
    [{ position_embedding_type: "relative_key" }, "position_embedding_type"],
  ])("refuses %j, naming the field", (change, field) => {
    const refused = expect.objectContaining({ code: "model-unsupported", details: { field } }) as Error;
    expect(() => bertFamily.parseConfig({ ...bert, ...change })).toThrow(refused);
  });
});

describe("llama", () => {
  test("the head's weight is the embedding's where they are tied", () => {
    const tied = llamaFamily.parseConfig({ ...llama, tie_word_embeddings: true });
    const untied = llamaFamily.parseConfig(llama);

    expect(llamaFamily.canonicalName("lm_head.weight", tied)).toBeUndefined();
    expect(llamaFamily.canonicalName("lm_head.weight", untied)).toBe("lm_head.weight");
    expect(llamaFamily.describe(untied).weights).toHaveLength(llamaFamily.describe(tied).weights.length + 1);
  });

  test.each([
    ["model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"],
    ["layers.0.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.weight"],
    ["model.layers.0.self_attn.rotary_emb.inv_freq", undefined],
    ["score.weight", undefined],
  ])("calls %s %s", (stored, canonical) => {
    expect(llamaFamily.canonicalName(stored, llamaFamily.parseConfig(llama))).toBe(canonical);
  });

  test("reads the forms in which theta is written", () => {
    expect(llamaFamily.parseConfig(llama).rope_theta).toBe(10_000);
    expect(llamaFamily.parseConfig({ ...llama, rope_theta: 5 }).rope_theta).toBe(5);
    expect(llamaFamily.parseConfig({ ...llama, rope_parameters: { rope_theta: 7 } }).rope_theta).toBe(7);
  });

  test.each([
    [{ num_key_value_heads: 3 }, "num_key_value_heads"],
    [{ num_attention_heads: 3, num_key_value_heads: 3 }, "num_attention_heads"],
    [{ hidden_size: 12 }, "head_dim"],
    [{ rope_scaling: { type: "linear", factor: 2 } }, "rope_scaling"],
    [{ rope_parameters: { rope_type: "llama3" } }, "rope_parameters.rope_type"],
    [{ attention_bias: true }, "attention_bias"],
  ])("refuses %j, naming the field", (change, field) => {
    const refused = expect.objectContaining({ code: "model-unsupported", details: { field } }) as Error;
    expect(() => llamaFamily.parseConfig({ ...llama, ...change })).toThrow(refused);
  });
});
