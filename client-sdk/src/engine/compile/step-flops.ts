import type { FamilyDescription } from "../../models/family.js";
import type { ArtifactRequest } from "../artifact.js";

/**
 * Floating-point operations of one run, the same for every implementation of it: 2 per weight and token for each frozen
 * matrix of the layers and the language model's head, forward, and as many again backward in the layers from the lowest
 * trained one up. A bidirectional encoder's attention products count, too (4 T^2 d per layer and example forward, twice
 * that backward); a causal decoder's do not, nor do adapters, norms and activations. Recomputation is not counted.
 */
export function stepFlops(request: ArtifactRequest, description: FamilyDescription): number {
  const tokens = request.batch * request.length;
  const isDecoder = request.task.kind === "causal-lm";
  const trainedLayers = request.adapted
    .filter(({ trained }) => trained)
    .map(({ name }) => description.modules.find((module) => module.name === name)?.layer ?? description.numLayers);
  const hiddenSize = description.weights[0]?.shape[1] ?? 0;
  const isTraining = request.purpose === "train";
  const lowest = isTraining ? Math.min(...trainedLayers, description.numLayers) : description.numLayers;
  let flops = 0;
  for (const { dIn, dOut, layer } of description.modules) {
    if (layer === null) continue;
    flops += 2 * tokens * dIn * dOut * (layer >= lowest ? 2 : 1);
  }
  if (isDecoder) {
    const [vocabulary = 0] = description.weights[0]?.shape ?? [];
    const rows = request.purpose === "generate" ? request.batch : tokens;
    return flops + 2 * rows * vocabulary * hiddenSize * (isTraining ? 2 : 1);
  }
  const attention = 4 * request.length ** 2 * hiddenSize * request.batch;
  return flops + attention * (description.numLayers + 2 * (description.numLayers - lowest));
}
