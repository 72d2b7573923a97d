import { FedLoraError } from "../errors.js";
import { suggestion } from "../text/nearest.js";
import type { AdaptableModule, ModelManifest } from "./manifest.js";

/** Shapes of well-known models, for planning: names and sizes of their linear modules, no values. */
interface ReferenceShape {
  readonly layers: number;
  /** Ending of a module's name -> [dIn, dOut]. */
  readonly modules: Readonly<Record<string, readonly [number, number]>>;
}

function llamaShape(layers: number, width: number, keyWidth: number, hidden: number): ReferenceShape {
  return {
    layers,
    modules: {
      "self_attn.q_proj": [width, width],
      "self_attn.k_proj": [width, keyWidth],
      "self_attn.v_proj": [width, keyWidth],
      "self_attn.o_proj": [width, width],
      "mlp.gate_proj": [width, hidden],
      "mlp.up_proj": [width, hidden],
      "mlp.down_proj": [hidden, width],
    },
  };
}

/** From the models' published configurations. */
const shapes: Readonly<Record<string, ReferenceShape>> = {
  "minilm-l6": bertShape(6, 384, 1536),
  "roberta-large": bertShape(24, 1024, 4096),
  "smollm2-135m": llamaShape(30, 576, 192, 1536),
  "tinyllama-1.1b": llamaShape(22, 2048, 256, 5632),
  "llama-3.2-3b": llamaShape(28, 3072, 1024, 8192),
  "llama-3-8b": llamaShape(32, 4096, 1024, 14336),
  "mistral-7b": llamaShape(32, 4096, 1024, 14336),
};

function bertShape(layers: number, width: number, hidden: number): ReferenceShape {
  return {
    layers,
    modules: {
      "attention.self.query": [width, width],
      "attention.self.key": [width, width],
      "attention.self.value": [width, width],
      "attention.output.dense": [width, width],
      "intermediate.dense": [width, hidden],
      "output.dense": [hidden, width],
    },
  };
}

export const referenceModelNames: readonly string[] = Object.keys(shapes);

/**
 * The linear modules of a well-known model, in layer order; module names end as the model's do.
 *
 * @throws FedLoraError `model-unsupported` naming those that there are
 */
export function referenceModules(name: string): Pick<ModelManifest, "modules" | "heads"> {
  const shape = shapes[name];
  if (shape === undefined) {
    throw new FedLoraError(
      "model-unsupported",
      `there are no shapes of "${name}"${suggestion(name, referenceModelNames)} Known are ${referenceModelNames.join(", ")}.`,
    );
  }
  const modules = Array.from({ length: shape.layers }, (_, layer) =>
    Object.entries(shape.modules).map(([ending, [dIn, dOut]]): AdaptableModule => {
      return { name: `model.layers.${layer}.${ending}`, kind: "linear", dIn, dOut, layer };
    }),
  ).flat();
  return { modules, heads: [] };
}
