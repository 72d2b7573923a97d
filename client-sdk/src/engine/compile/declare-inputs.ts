import { FedLoraError, headKeys, loraKeys } from "@fedlora/core";
import type { AdaptableModule } from "@fedlora/core";
import type { FamilyDescription } from "../../models/family.js";
import { formTensors, gradientsOf } from "../adapter-form.js";
import { rowsPerText } from "../rows-per-text.js";
import type { AdaptedModule, ArtifactInput, ArtifactRequest } from "../artifact.js";

export const inputNames = {
  tokens: "input_ids",
  attentionMask: "attention_mask",
  labels: "labels",
  lossWeights: "loss_weights",
  position: "position",
  scaling: (module: string): string => `scaling:${module}`,
  dropoutMask: (module: string): string => `dropout:${module}`,
  baseDelta: (tensor: string): string => `base_delta:${tensor}`,
} as const;

/** What a trained graph differentiates with respect to: adapter tensor name and shape, in input order. */
export interface TrainedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Index of the layer that reads it; null outside the layers. */
  readonly layer: number | null;
}

export interface DeclaredInputs {
  readonly inputs: readonly ArtifactInput[];
  readonly trained: readonly TrainedTensor[];
}

/** Only a training graph has per-example gradients, so only there do trained tensors get a leading batch dimension. */
export function isPerExample(request: ArtifactRequest): boolean {
  return request.purpose === "train" && request.privacy === "per-example";
}

/** Whether a graph has gradients among its outputs. */
export function isDifferentiated({ purpose }: Pick<ArtifactRequest, "purpose">): boolean {
  return purpose === "train" || purpose === "activation-sketch";
}

/** Lists a graph's inputs from its request. Throws `artifact-invalid` where the request names modules that are not there. */
export function declareInputs(request: ArtifactRequest, description: FamilyDescription): DeclaredInputs {
  const lead = isPerExample(request) ? [request.batch] : [];
  const inputs: ArtifactInput[] = [...dataInputs(request)];
  const trained: TrainedTensor[] = [];
  const adapterInput = (name: string, shape: readonly number[], layer: number | null, isTrained: boolean): void => {
    const full = isTrained ? [...lead, ...shape] : shape;
    inputs.push({ name, role: "adapter", dtype: "F32", shape: full, tensor: name });
    if (isTrained) trained.push({ name, shape: full, layer });
  };
  const isSketch = request.purpose === "activation-sketch";
  for (const adapted of request.adapted) {
    const module = moduleOf(description, adapted);
    const gradients = gradientsOf(adapted);
    for (const { kind, name, shape } of formTensors(module, adapted.form ?? "lora", adapted.rank)) {
      // A sketch looks at what comes in before the adapter: nothing but A takes part.
      if (!isSketch || kind === "lora-a") adapterInput(name, shape, module.layer, isSketch || gradients.includes(kind));
    }
  }
  for (const name of request.modulesToSave) {
    const head = description.heads.find((candidate) => candidate.name === name);
    if (head === undefined) {
      throw new FedLoraError("artifact-invalid", `family ${request.family} has no head "${name}" to train in full`);
    }
    const dOut = head.dOut ?? headSize(request);
    const names = headKeys(name);
    adapterInput(names.weight, [dOut, head.dIn], null, !isSketch);
    adapterInput(names.bias, [dOut], null, !isSketch);
  }
  for (const adapted of isSketch ? [] : request.adapted) {
    inputs.push(...moduleInputs(request, description, moduleOf(description, adapted)));
  }
  for (const name of baseDeltaModules(request)) {
    inputs.push(...baseDeltaInputs(request, findModule(description, name)));
  }
  return { inputs, trained };
}

/** Number of outputs of a head whose size the task gives. */
export function headSize(request: ArtifactRequest): number {
  if (request.task.kind === "sequence-classification") return request.task.labels.length;
  throw new FedLoraError("artifact-invalid", `a ${request.task.kind} task gives its head no size`);
}

function dataInputs({ purpose, task, batch, length }: ArtifactRequest): ArtifactInput[] {
  const perRow = task.kind === "causal-lm" ? [batch, length] : [batch];
  const inputs: ArtifactInput[] = [
    { name: inputNames.tokens, role: "tokens", dtype: "I32", shape: [batch, length] },
    { name: inputNames.attentionMask, role: "attention-mask", dtype: "I32", shape: [batch, length] },
  ];
  if (purpose === "train" || purpose === "evaluate") {
    inputs.push(
      { name: inputNames.labels, role: "labels", dtype: "I32", shape: perRow },
      { name: inputNames.lossWeights, role: "loss-weights", dtype: "F32", shape: perRow },
    );
  }
  if (purpose === "activation-sketch") {
    inputs.push({ name: inputNames.lossWeights, role: "loss-weights", dtype: "F32", shape: [batch] });
  }
  if (purpose === "generate")
    inputs.push({ name: inputNames.position, role: "position", dtype: "I32", shape: [batch] });
  return inputs;
}

function moduleInputs(
  request: ArtifactRequest,
  description: FamilyDescription,
  module: AdaptableModule,
): ArtifactInput[] {
  const { batch } = request;
  const { name } = module;
  const inputs: ArtifactInput[] = [
    { name: inputNames.scaling(name), role: "scaling", dtype: "F32", shape: [], tensor: name },
  ];
  if (request.dropout && request.purpose === "train") {
    const rows = rowsPerText(request, description, module);
    const shape = rows === 1 ? [batch, module.dIn] : [batch, rows, module.dIn];
    inputs.push({ name: inputNames.dropoutMask(name), role: "dropout-mask", dtype: "F32", shape, tensor: name });
  }
  return inputs;
}

/** Every module whose frozen weight counts with a low-rank pair of inputs. */
export function baseDeltaModules(request: ArtifactRequest): readonly string[] {
  if (request.baseDeltaRank === 0) return [];
  return [...new Set([...request.adapted.map(({ name }) => name), ...(request.baseDeltaModules ?? [])])];
}

function baseDeltaInputs({ baseDeltaRank }: ArtifactRequest, module: AdaptableModule): ArtifactInput[] {
  const { a, b } = loraKeys(module.name);
  const declare = (tensor: string, shape: readonly number[]): ArtifactInput => ({
    name: inputNames.baseDelta(tensor),
    role: "base-delta",
    dtype: "F32",
    shape,
    tensor,
  });
  return [declare(a, [baseDeltaRank, module.dIn]), declare(b, [module.dOut, baseDeltaRank])];
}

function moduleOf(description: FamilyDescription, adapted: AdaptedModule): AdaptableModule {
  const module = findModule(description, adapted.name);
  if (!Number.isInteger(adapted.rank) || adapted.rank < 1) {
    throw new FedLoraError("artifact-invalid", `rank ${adapted.rank} of "${adapted.name}" must be an integer above 0`);
  }
  return module;
}

function findModule(description: FamilyDescription, name: string): AdaptableModule {
  const module = description.modules.find((candidate) => candidate.name === name);
  if (module === undefined) throw new FedLoraError("artifact-invalid", `the model has no module "${name}"`);
  return module;
}
