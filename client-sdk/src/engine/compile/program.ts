import { FedLoraError, loraKeys } from "@fedlora/core";
import type { FamilyDescription, ForwardContext, ForwardResult, ModelFamily } from "../../models/family.js";
import { builtInFamilies } from "../../models/load/family-registry.js";
import * as ops from "../../models/ops.js";
import type { Value } from "../../models/ops.js";
import type { ArtifactInput, ArtifactOutput, ArtifactRequest } from "../artifact.js";
import { declareInputs, headSize, inputNames, isDifferentiated } from "./declare-inputs.js";
import type { TrainedTensor } from "./declare-inputs.js";
import { createForwardContext } from "./forward-context.js";

/** What one run of a graph computes, as code: the compiler records it, an eager engine calls it. */
export interface Program {
  readonly request: ArtifactRequest;
  readonly description: FamilyDescription;
  readonly inputs: readonly ArtifactInput[];
  readonly outputs: readonly ArtifactOutput[];
  readonly trained: readonly TrainedTensor[];
  /** The shape that the model's config gives a weight. Throws `artifact-invalid` for a name that it does not know. */
  weightShape(name: string): readonly number[];
  /** Output name -> value. */
  run(input: (name: string) => Value, weight: (name: string) => Value): ReadonlyMap<string, Value>;
}

/** Bytes that a chunk of a language model's logits may take. */
const logitsBytes = { plain: 64 * 2 ** 20, recompute: 16 * 2 ** 20 } as const;

/**
 * @throws FedLoraError `artifact-invalid` where the request contradicts itself or the model; `model-unsupported` where
 *   the family is not there or refuses the config
 */
export function buildProgram(request: ArtifactRequest, families: readonly ModelFamily[] = builtInFamilies): Program {
  const family = families.find(({ name }) => name === request.family);
  if (family === undefined) throw new FedLoraError("model-unsupported", `there is no model family "${request.family}"`);
  const config = family.parseConfig(request.config);
  const description = family.describe(config);
  checkRequest(request, family);
  const { inputs, trained } = declareInputs(request, description);
  if (isDifferentiated(request) && trained.length === 0) {
    throw new FedLoraError("artifact-invalid", "a training graph needs a trained adapter or module");
  }
  const shapes = new Map(description.weights.map(({ name, shape }) => [name, shape]));
  return {
    request,
    description,
    inputs,
    trained,
    outputs: declareOutputs(request, config, trained),
    weightShape(name) {
      const shape = shapes.get(name) ?? headShape(request, description, name);
      if (shape === undefined) throw new FedLoraError("artifact-invalid", `the model has no weight "${name}"`);
      return shape;
    },
    run(input, weight) {
      const observed = new Map<string, Value>();
      const observe =
        request.purpose === "activation-sketch" ? (module: string, x: Value) => observed.set(module, x) : undefined;
      const context = createForwardContext({ request, description, trained, input, weight, observe });
      const forward = (): ForwardResult => family.forward(context, config);
      return runPurpose({ request, trained, input, context, observed, forward });
    },
  };
}

interface Run {
  readonly request: ArtifactRequest;
  readonly trained: readonly TrainedTensor[];
  readonly input: (name: string) => Value;
  readonly context: ForwardContext;
  /** Inputs [rows, dIn] of the adapted modules, once the forward pass of an activation sketch has run. */
  readonly observed: ReadonlyMap<string, Value>;
  readonly forward: () => ForwardResult;
}

function runPurpose(run: Run): ReadonlyMap<string, Value> {
  const { request, input, context } = run;
  const { batch, length } = request;
  switch (request.purpose) {
    case "train":
      return differentiated(run, () => weightedSum(run, lossesOf(run, run.forward(), true)));
    case "activation-sketch":
      return differentiated(run, () => {
        run.forward();
        return sketchLoss(run);
      });
    case "evaluate": {
      const result = run.forward();
      const losses = lossesOf(run, result, false);
      const shaped = ops.reshape(losses, input(inputNames.labels).shape);
      const outputs = new Map([
        ["loss", weightedSum(run, losses)],
        ["losses", shaped],
      ]);
      return result.logits === undefined ? outputs : outputs.set("logits", result.logits);
    }
    case "generate": {
      const { hidden, outputWeight } = run.forward();
      const rows = ops.reshape(hidden, [batch, length, hidden.shape[1] ?? 0]);
      const last = ops.rowsAt(rows, input(inputNames.position));
      return new Map([["logits", ops.frozenLinear(last, context.weight(outputWeight ?? ""))]]);
    }
    case "embed":
      return new Map([["embedding", meanPooled(run, run.forward().hidden)]]);
  }
}

function differentiated({ trained, input }: Run, loss: () => Value): ReadonlyMap<string, Value> {
  const names = trained.map(({ name }) => name);
  const { value, gradients } = ops.valueAndGradients(loss, names.map(input));
  return new Map([["loss", value], ...gradients.map((g, i): [string, Value] => [gradientName(names[i] ?? ""), g])]);
}

/** Half the sum over the adapted modules of |x A^T|^2 at all real tokens: its gradient in A is A X^T X. */
function sketchLoss({ request, input, observed }: Run): Value {
  const { batch, length } = request;
  const rowWeights = ops.reshape(input(inputNames.lossWeights), [batch, 1]);
  const tokenWeights = ops.multiply(ops.toFloat(input(inputNames.attentionMask)), rowWeights);
  const terms = [...observed].map(([module, x]) => {
    const inner = ops.project(ops.detach(x), { value: input(loraKeys(module).a), trained: true });
    const isPerToken = x.shape[0] !== batch || length === 1;
    const weights = isPerToken ? ops.reshape(tokenWeights, [batch * length, 1]) : rowWeights;
    return ops.sum(ops.multiply(weights, ops.multiply(inner, inner)));
  });
  return ops.scale(terms.reduce(ops.add), 0.5);
}

/** One loss per example [B], or per token [B * T]. */
function lossesOf({ request, input, context }: Run, result: ForwardResult, needsGradient: boolean): Value {
  const labels = input(inputNames.labels);
  if (result.logits !== undefined) return ops.crossEntropy(result.logits, labels);
  const weight = context.weight(result.outputWeight ?? "");
  const chunkRows = Math.max(16, Math.floor(logitsBytes[request.memory] / (4 * (weight.shape[0] ?? 1))));
  const flatLabels = ops.reshape(labels, [request.batch * request.length]);
  return ops.headCrossEntropy(result.hidden, weight, flatLabels, { chunkRows, needsGradient });
}

/** sum(weight * loss): rows of weight 0 (padding) never matter, and the host decides on every mean. */
function weightedSum({ input }: Run, losses: Value): Value {
  return ops.sum(ops.multiply(ops.reshape(input(inputNames.lossWeights), losses.shape), losses));
}

/** Mean over the tokens of each text, then length 1, as sentence-transformers does. */
function meanPooled({ request, input }: Run, hidden: Value): Value {
  const { batch, length } = request;
  const d = hidden.shape[1] ?? 0;
  const mask = ops.reshape(ops.toFloat(input(inputNames.attentionMask)), [batch, 1, length]);
  const total = ops.reshape(ops.matmul(mask, ops.reshape(hidden, [batch, length, d])), [batch, d]);
  const count = ops.reshape(ops.sum(mask, 2), [batch, 1]);
  return ops.l2Normalize(ops.divideClamped(total, count, 1e-9), 1e-12);
}

function gradientName(tensor: string): string {
  return `gradient:${tensor}`;
}

function declareOutputs(
  request: ArtifactRequest,
  config: unknown,
  trained: readonly TrainedTensor[],
): readonly ArtifactOutput[] {
  const { batch, length, purpose, task } = request;
  const loss: ArtifactOutput = { name: "loss", role: "loss", dtype: "F32", shape: [] };
  const read = (field: string): number => Number((config as Readonly<Record<string, unknown>>)[field]);
  switch (purpose) {
    case "train":
    case "activation-sketch":
      return [
        loss,
        ...trained.map(({ name, shape }): ArtifactOutput => ({
          name: gradientName(name),
          role: "gradient",
          dtype: "F32",
          shape,
          tensor: name,
        })),
      ];
    case "evaluate":
      return task.kind === "causal-lm"
        ? [loss, { name: "losses", role: "losses", dtype: "F32", shape: [batch, length] }]
        : [
            loss,
            { name: "losses", role: "losses", dtype: "F32", shape: [batch] },
            { name: "logits", role: "logits", dtype: "F32", shape: [batch, headSize(request)] },
          ];
    case "generate":
      return [{ name: "logits", role: "logits", dtype: "F32", shape: [batch, read("vocab_size")] }];
    case "embed":
      return [{ name: "embedding", role: "embedding", dtype: "F32", shape: [batch, read("hidden_size")] }];
  }
}

/** A head that is not trained is read from the weights file, in the size that the task asks for. */
function headShape(
  request: ArtifactRequest,
  { heads }: FamilyDescription,
  name: string,
): readonly number[] | undefined {
  const head = heads.find((candidate) => name === `${candidate.name}.weight` || name === `${candidate.name}.bias`);
  if (head === undefined) return undefined;
  const dOut = head.dOut ?? headSize(request);
  return name.endsWith(".weight") ? [dOut, head.dIn] : [dOut];
}

function checkRequest(request: ArtifactRequest, family: ModelFamily): void {
  const refuse = (why: string): never => {
    throw new FedLoraError("artifact-invalid", `artifact request: ${why}`);
  };
  const { task, purpose, batch, length } = request;
  if (!family.tasks.includes(task.kind)) refuse(`family ${family.name} has no task ${task.kind}`);
  const fits = {
    train: task.kind !== "embedding",
    "activation-sketch": task.kind !== "embedding",
    evaluate: task.kind !== "embedding",
    generate: task.kind === "causal-lm",
    embed: task.kind === "embedding",
  };
  if (!fits[purpose]) refuse(`purpose ${purpose} does not fit task ${task.kind}`);
  if (!Number.isInteger(batch) || batch < 1) refuse(`batch ${batch} must be an integer above 0`);
  if (!Number.isInteger(length) || length < 1) refuse(`length ${length} must be an integer above 0`);
  const most = Number(request.config["max_position_embeddings"] ?? Infinity);
  if (length > most) refuse(`length ${length} exceeds the model's ${most} positions`);
}
