import { canonicalJson, sha256Hex, type BaseModelHash, type ModelManifest } from "@fedlora/core";

/** Name of the one module that carries an adapter. */
export const linearModule = "linear";
/** The bias of the logits, a head that is trained in full: weight [labels, 1]. */
export const biasHead = "bias";

/**
 * The smallest model that LoRA can adapt: logits = (W + s B A) x + b over examples that are numbers, with a frozen W of
 * zeros. Fully adapted it is logistic regression; with a rank below the number of labels a low-rank one.
 */
export function linearManifest(features: number, labels: number): ModelManifest {
  const shape = {
    family: "linear",
    modules: [{ name: linearModule, kind: "linear" as const, dIn: features, dOut: labels, layer: 0 }],
    heads: [{ name: biasHead, kind: "linear" as const, dIn: 1, dOut: null, bias: false }],
  };
  return {
    format: "fedlora-model/1",
    name: `linear-${features}x${labels}`,
    hash: sha256Hex(new TextEncoder().encode(canonicalJson(shape))) as BaseModelHash,
    numLayers: 1,
    numParameters: features * labels,
    tensors: [],
    ...shape,
  };
}
