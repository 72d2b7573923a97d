import type { BaseModelHash } from "@fedlora/core";
import { builtInFamilies } from "@fedlora/client-sdk/engine";
import type { ArtifactRequest } from "@fedlora/client-sdk/engine";

export type ShapeName = "minilm" | "decoder-30";

export interface ModelShape {
  readonly name: ShapeName;
  readonly config: Readonly<Record<string, unknown>>;
  readonly batch: number;
  readonly length: number;
  /** What one step is counted as, whoever computes it: docs/reference/engine.md says how. */
  readonly gflopsPerStep: number;
  readonly targets: RegExp;
}

/** Fixed inputs: the shapes of all-MiniLM-L6-v2 and of SmolLM2-135M. */
export const shapes: Readonly<Record<ShapeName, ModelShape>> = {
  minilm: {
    name: "minilm",
    config: {
      model_type: "bert",
      vocab_size: 30522,
      hidden_size: 384,
      num_hidden_layers: 6,
      num_attention_heads: 12,
      intermediate_size: 1536,
      max_position_embeddings: 512,
      type_vocab_size: 2,
      hidden_act: "gelu",
      layer_norm_eps: 1e-12,
    },
    batch: 8,
    length: 128,
    gflopsPerStep: 40.5,
    targets: /\.self\.(query|value)$/,
  },
  "decoder-30": {
    name: "decoder-30",
    config: {
      model_type: "llama",
      vocab_size: 49152,
      hidden_size: 576,
      intermediate_size: 1536,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      max_position_embeddings: 8192,
      rms_norm_eps: 1e-5,
      rope_theta: 100000,
      tie_word_embeddings: true,
      hidden_act: "silu",
    },
    batch: 4,
    length: 64,
    gflopsPerStep: 137.7,
    targets: /\.(q_proj|v_proj)$/,
  },
};

/** Where LoRA goes, and of which rank. */
export interface AdapterShape {
  readonly targets: RegExp;
  readonly rank: number;
}

/** The artifact's request; default: LoRA of rank 8 on query and value. */
export function requestOf(
  shape: ModelShape,
  privacy: ArtifactRequest["privacy"],
  { targets, rank }: AdapterShape = { targets: shape.targets, rank: 8 },
): ArtifactRequest {
  const { family, description } = describeShape(shape);
  const isDecoder = family === "llama";
  return {
    baseModelHash: "0".repeat(64) as BaseModelHash,
    family,
    config: shape.config,
    purpose: "train",
    task: isDecoder
      ? { kind: "causal-lm", maxTokens: shape.length, maskPrompt: true }
      : { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: shape.length },
    batch: shape.batch,
    length: shape.length,
    adapted: description.modules
      .filter(({ name }) => targets.test(name))
      .map(({ name }) => ({ name, rank, trained: true })),
    modulesToSave: isDecoder ? [] : ["classifier"],
    privacy,
    memory: "plain",
    dropout: false,
    baseDeltaRank: 0,
  };
}

export function numLayers({ config }: ModelShape): number {
  return Number(config["num_hidden_layers"]);
}

export function describeShape({ config }: ModelShape): {
  readonly family: string;
  readonly description: ReturnType<(typeof builtInFamilies)[number]["describe"]>;
} {
  const family = builtInFamilies.find(({ name }) => name === config["model_type"]);
  if (family === undefined) throw new Error(`no family ${String(config["model_type"])}`);
  return { family: family.name, description: family.describe(family.parseConfig(config)) };
}
