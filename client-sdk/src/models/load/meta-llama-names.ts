const tops: ReadonlyMap<string, string> = new Map([
  ["tok_embeddings.weight", "model.embed_tokens.weight"],
  ["norm.weight", "model.norm.weight"],
  ["output.weight", "lm_head.weight"],
]);
const inLayer: ReadonlyMap<string, string> = new Map([
  ["attention.wq", "self_attn.q_proj"],
  ["attention.wk", "self_attn.k_proj"],
  ["attention.wv", "self_attn.v_proj"],
  ["attention.wo", "self_attn.o_proj"],
  ["feed_forward.w1", "mlp.gate_proj"],
  ["feed_forward.w2", "mlp.down_proj"],
  ["feed_forward.w3", "mlp.up_proj"],
  ["attention_norm", "input_layernorm"],
  ["ffn_norm", "post_attention_layernorm"],
]);

/**
 * A weight's name in Hugging Face's Llama where it bears the name of Meta's own checkpoints, which llama2.c took over;
 * undefined for every other name. The weights are laid out for RoPE on adjacent pairs (`rope_interleaved`).
 */
export function fromMetaLlamaName(stored: string): string | undefined {
  const top = tops.get(stored);
  if (top !== undefined) return top;
  const [, layer, part] = /^layers\.(\d+)\.(.+)\.weight$/u.exec(stored) ?? [];
  const name = part === undefined ? undefined : inLayer.get(part);
  return layer === undefined || name === undefined ? undefined : `model.layers.${layer}.${name}.weight`;
}
