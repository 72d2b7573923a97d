import { deriveKey, fromFloat32, RandomStream, toStateDict, type RandomKey, type StateDict } from "@fedlora/core";
import { replaceFile, writeSafetensorsFile } from "@fedlora/core/node";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { SmallDecoderSpec } from "../scenario/model-schema.js";
import { tokenizerFiles } from "./byte-pairs.js";
import type { TokenTables } from "./bigram-tables.js";

/** How much wider the middle of an MLP is. */
export const mlpFactor = 3;

export type DecoderSize = Pick<SmallDecoderSpec, "layers" | "width" | "heads" | "vocabulary">;

/** Writes a Llama in the form of a Hugging Face folder, its layers random. */
export async function writeUntrainedDecoder(
  folder: string,
  size: DecoderSize & { readonly maxTokens: number },
  parts: { readonly merges: readonly (readonly [string, string])[]; readonly tables: TokenTables },
  key: RandomKey,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(tokenizerFiles(parts.merges))) {
    await replaceFile(join(folder, name), `${JSON.stringify(content)}\n`);
  }
  const weights = randomWeights(size, parts.tables, key);
  const layout = [...weights].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  await writeSafetensorsFile(
    join(folder, "model.safetensors"),
    layout,
    (name) => weights.get(name)?.bytes ?? new Uint8Array(),
    { metadata: { format: "pt" } },
  );
  const config = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    _name_or_path: "small-decoder",
    vocab_size: size.vocabulary,
    hidden_size: size.width,
    intermediate_size: mlpFactor * size.width,
    num_hidden_layers: size.layers,
    num_attention_heads: size.heads,
    max_position_embeddings: Math.max(1024, size.maxTokens),
    tie_word_embeddings: false,
    hidden_act: "silu",
    eos_token_id: 0,
    pad_token_id: 0,
  };
  await replaceFile(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
}

function randomWeights({ layers, width, vocabulary }: DecoderSize, tables: TokenTables, key: RandomKey): StateDict {
  const middle = mlpFactor * width;
  // What a layer adds begins small, so that the untrained decoder is about the bigram model of its tables.
  const quiet = 0.1 / Math.sqrt(2 * layers);
  const matrix = (name: string, dOut: number, dIn: number, gain: number) => {
    const stream = new RandomStream(deriveKey(key, "decoder-weights", name));
    return [name, fromFloat32(stream.normals(dOut * dIn, gain / Math.sqrt(dIn)), [dOut, dIn])] as const;
  };
  const ones = (name: string) => [name, fromFloat32(new Float32Array(width).fill(1), [width])] as const;
  return toStateDict([
    ["model.embed_tokens.weight", fromFloat32(tables.embedding, [vocabulary, width])],
    ["lm_head.weight", fromFloat32(tables.head, [vocabulary, width])],
    ...Array.from({ length: layers }, (_, index) => `model.layers.${index}`).flatMap((layer) => [
      ...["q_proj", "k_proj", "v_proj"].map((name) => matrix(`${layer}.self_attn.${name}.weight`, width, width, 1)),
      matrix(`${layer}.self_attn.o_proj.weight`, width, width, quiet),
      ...["gate_proj", "up_proj"].map((name) => matrix(`${layer}.mlp.${name}.weight`, middle, width, 1)),
      matrix(`${layer}.mlp.down_proj.weight`, width, middle, quiet),
      ones(`${layer}.input_layernorm.weight`),
      ones(`${layer}.post_attention_layernorm.weight`),
    ]),
    ones("model.norm.weight"),
  ]);
}
