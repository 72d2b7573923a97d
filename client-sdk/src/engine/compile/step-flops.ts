import type { FamilyDescription } from "../../models/family.js";
import type { ArtifactRequest } from "../artifact.js";
import { rowsPerText } from "../rows-per-text.js";

/**
 * Floating-point operations of one run, the same for every engine: 2 per weight and row for each frozen matrix of the
 * layers and the language model's head, forward, and as many again backward in the layers from the lowest trained one up;
 * rows are tokens, or texts where a classification reads one position. A bidirectional encoder's attention products count,
 * too (4 Q T d per layer and example forward for Q queries, twice that backward); a causal decoder's do not, nor do
 * adapters, norms and activations. Recomputation is not counted.
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
  for (const module of description.modules) {
    const { dIn, dOut, layer } = module;
    if (layer === null) continue;
    const rows = request.batch * rowsPerText(request, description, module);
    flops += 2 * rows * dIn * dOut * (layer >= lowest ? 2 : 1);
  }
  if (isDecoder) {
    const [vocabulary = 0] = description.weights[0]?.shape ?? [];
    const rows = request.purpose === "generate" ? request.batch : tokens;
    return flops + 2 * rows * vocabulary * hiddenSize * (isTraining ? 2 : 1);
  }
  const isPooled = request.task.kind === "sequence-classification" && description.pooledModules !== undefined;
  for (let layer = 0; layer < description.numLayers; layer++) {
    const queries = isPooled && layer === description.numLayers - 1 ? 1 : request.length;
    flops += 4 * queries * request.length * hiddenSize * request.batch * (layer >= lowest ? 3 : 1);
  }
  return flops;
}
