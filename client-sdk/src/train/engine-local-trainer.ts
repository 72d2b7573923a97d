import {
  type Clock,
  copyFloat32,
  deriveKey,
  type EvaluationCounts,
  FedLoraError,
  fromFloat32,
  isControlTensor,
  type PlanInstructions,
  shapesEqual,
  type StateDict,
  supportedDirectives,
  systemClock,
  type TensorRoles,
  toStateDict,
} from "@fedlora/core";
import { type AdapterPlan, planAdapter } from "../lora/adapter-plan.js";
import type { BaseDelta } from "../models/base-delta/base-delta.js";
import type { BaseVersions, OpenBase } from "../models/base-delta/base-versions.js";
import type { BaseModel } from "../models/base-model.js";
import { assertPrivacySound } from "../privacy/check-plan.js";
import { lossBound, noiseCounts } from "../privacy/noised-counts.js";
import { preparePrivateTraining } from "../privacy/private-steps.js";
import { systemSecrets } from "../privacy/secrets.js";
import { directiveOf } from "./directives.js";
import { type Compile, createGraphs } from "./artifact-request.js";
import { chooseExamples } from "./choose-examples.js";
import { createExampleEncoder, type EncodedExample } from "./encode-example.js";
import type { EngineHandle } from "./engine-handle.js";
import { evaluateAdapter } from "./evaluate-adapter.js";
import { createFairShare } from "./fair-share.js";
import type {
  DataSource,
  EvaluateRequest,
  LocalTrainer,
  TrainingProgress,
  TrainRequest,
  TrainResult,
} from "./local-trainer.js";
import { probeOnce, probeSteps } from "./probe-steps.js";
import { prepareTraining } from "./prepare-training.js";
import { assertNotAborted, readExamples } from "./read-examples.js";
import { measureReceivedLoss } from "./received-loss.js";
import { sketchAdapter, type SketchDirective, sketchGraph } from "./sketch-adapter.js";
import { type LocalStepTimes, StepMeter } from "./step-meter.js";
import { streamKeyOf, trainAdapter } from "./train-adapter.js";

export interface EngineLocalTrainerOptions {
  readonly baseModel: BaseModel;
  /** Ended by `close`. */
  readonly engine: EngineHandle;
  readonly compile: Compile;
  readonly baseVersions: BaseVersions;
  /** Keeps what a probe found. */
  readonly cacheFolder: string;
  readonly clock?: Clock;
}

/**
 * Trains and evaluates adapters on one base model and one engine. Calls may run side by side: each has a slot of its
 * own. Equal requests give equal bits on engines with equal fingerprints.
 */
export class EngineLocalTrainer implements LocalTrainer {
  readonly #baseModel: BaseModel;
  readonly #compile: Compile;
  readonly #baseVersions: BaseVersions;
  readonly #clock: Clock;
  readonly #engine: EngineHandle;
  readonly #cacheFolder: string;
  readonly #meter: StepMeter;

  constructor(options: EngineLocalTrainerOptions) {
    this.#baseModel = options.baseModel;
    this.#compile = options.compile;
    this.#baseVersions = options.baseVersions;
    this.#clock = options.clock ?? systemClock;
    this.#engine = options.engine;
    this.#cacheFolder = options.cacheFolder;
    const { numLayers, numParameters } = options.baseModel.manifest;
    this.#meter = new StepMeter({ numLayers, weightBytes: 4 * numParameters });
  }

  async train(
    request: TrainRequest,
    signal: AbortSignal,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<TrainResult> {
    const { instructions } = request;
    const { task, training } = instructions;
    const baseModel = this.#baseModel;
    assertSupported(instructions, baseModel);
    assertPrivacySound(instructions, "train");
    const sketch = directiveOf(instructions, "gradient-sketch") ?? directiveOf(instructions, "activation-sketch");
    if (sketch !== undefined) return this.#sketch(request, sketch, signal, onProgress);
    const roles = adapterRoles(instructions);
    const adapter = planAdapter(instructions.adapter, task, baseModel.manifest, roles);
    if (adapter.trained.size === 0) throw new FedLoraError("request-invalid", "the plan trains no tensor");
    const tensors = takeStart(roles, request.start);
    const key = streamKeyOf(instructions, request.streamKey, request.round);
    const turn = createFairShare(this.#clock);
    onProgress({ stage: "preparing", step: 0, totalSteps: 0, loss: Number.NaN, tokensPerSecond: 0 });
    const reading = { data: request.data, task, training, tokenizer: baseModel.tokenizer };
    const privately = await preparePrivateTraining(instructions.privacy, { ...reading, ...request }, signal, turn);
    const prepared = privately?.prepared ?? (await prepareTraining({ ...reading, key }, signal, turn));
    const settings = {
      baseModel,
      purpose: "train",
      task,
      adapter,
      batch: training.batchSize,
      memory: training.memory,
      dropout: instructions.adapter.dropout > 0,
      privacy: privately === undefined ? "none" : "per-example",
    } as const;
    return this.#withBase(request.baseDeltas, adapter, signal, async (base, compile) => {
      const engine = await this.#engine.get();
      const shared = { task, batch: training.batchSize, adapter, tensors, baseModel, base };
      const asked = directiveOf(instructions, "received-loss");
      const evaluating = { baseModel, purpose: "evaluate", task, adapter, batch: training.batchSize } as const;
      const receivedLoss =
        asked &&
        (await measureReceivedLoss(
          engine,
          { ...shared, graphFor: createGraphs({ ...evaluating, pairs: base.pairs }, compile) },
          prepared,
          asked.examples,
          deriveKey(key, "received-loss"),
          signal,
        ));
      const graphFor = createGraphs({ ...settings, pairs: base.pairs }, compile);
      const privateSteps = privately?.steps;
      const clocked = { clock: this.#clock, meter: this.#meter, turn };
      const work = { ...shared, ...clocked, request, prepared, receivedLoss, graphFor, privateSteps };
      return trainAdapter(engine, work, signal, onProgress);
    });
  }

  async evaluate(
    request: EvaluateRequest,
    signal: AbortSignal,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<EvaluationCounts> {
    const { instructions, data } = request;
    const { task, training, privacy } = instructions;
    const baseModel = this.#baseModel;
    assertSupported(instructions, baseModel);
    assertPrivacySound(instructions, "evaluate");
    const bound = privacy && lossBound(task, Number(baseModel.configJson["vocab_size"]));
    const roles = adapterRoles(instructions);
    const adapter = planAdapter(instructions.adapter, task, baseModel.manifest, roles);
    const tensors = takeStart(roles, request.start);
    onProgress({ stage: "preparing", step: 0, totalSteps: 0, loss: Number.NaN, tokensPerSecond: 0 });
    const examples = await this.#readHeldOut(data, instructions, signal);
    const settings = { baseModel, purpose: "evaluate", task, adapter, batch: training.batchSize } as const;
    const numTokens = examples.reduce((sum, { tokens }) => sum + tokens.length, 0);
    return this.#withBase(request.baseDeltas, adapter, signal, async (base, compile) => {
      const graphFor = createGraphs({ ...settings, pairs: base.pairs }, compile);
      const shared = { task, batch: training.batchSize, adapter, tensors, baseModel, base };
      const timing = { clock: this.#clock, meter: this.#meter };
      const work = { ...shared, examples, graphFor, lossBound: bound, timing };
      const start = this.#clock.monotonicMs();
      const counts = await evaluateAdapter(await this.#engine.get(), work, signal, (progress) => {
        const seconds = Math.max(1e-3, (this.#clock.monotonicMs() - start) / 1000);
        const share = progress.step / progress.totalSteps;
        onProgress({ stage: "evaluating", ...progress, tokensPerSecond: (numTokens * share) / seconds });
      });
      if (bound === undefined || privacy?.metricsNoise === undefined) return counts;
      const { metricsNoise } = privacy;
      return noiseCounts(counts, bound, { ...privacy, metricsNoise }, (request.secrets ?? systemSecrets).next());
    });
  }

  async #sketch(
    request: TrainRequest,
    directive: SketchDirective,
    signal: AbortSignal,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<TrainResult> {
    const { instructions, data, streamKey, round } = request;
    const { task, training } = instructions;
    const baseModel = this.#baseModel;
    const roles = adapterRoles(instructions);
    const adapter = planAdapter(instructions.adapter, task, baseModel.manifest, roles);
    const tensors = takeStart(roles, request.start);
    const graph = sketchGraph(directive, adapter);
    onProgress({ stage: "preparing", step: 0, totalSteps: 0, loss: Number.NaN, tokensPerSecond: 0 });
    const key = deriveKey(streamKeyOf(instructions, streamKey, round), "sketch");
    const chosen = { data, task, tokenizer: baseModel.tokenizer, key, limit: directive.examples };
    const examples = await chooseExamples(chosen, signal, createFairShare(this.#clock));
    return this.#withBase(request.baseDeltas, adapter, signal, async (base, compile) => {
      const batch = training.batchSize;
      const settings = { ...graph, baseModel, task, batch, memory: training.memory, pairs: base.pairs };
      const graphFor = createGraphs(settings, compile);
      const work = {
        directive,
        examples,
        task,
        batch,
        adapter,
        tensors,
        baseModel,
        base,
        graphFor,
        clock: this.#clock,
      };
      return sketchAdapter(await this.#engine.get(), work, signal, onProgress);
    });
  }

  async probe(signal: AbortSignal): Promise<LocalStepTimes | undefined> {
    const engine = await this.#engine.get();
    const baseModel = this.#baseModel;
    const machine = `${baseModel.manifest.hash} on ${engine.fingerprint}`;
    const parts = { baseModel, engine, compile: this.#compile, meter: this.#meter, clock: this.#clock };
    return probeOnce(this.#cacheFolder, machine, () => probeSteps(parts, signal));
  }

  heldBaseDeltas(ids: readonly string[]): Promise<number> {
    return this.#baseVersions.held(ids);
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  /** Runs `work` on the base weights that a chain of deltas leads to, with a compiler whose graphs read them. */
  async #withBase<Result>(
    deltas: readonly BaseDelta[] = [],
    { adapted }: AdapterPlan,
    signal: AbortSignal,
    work: (base: OpenBase, compile: Compile) => Promise<Result>,
  ): Promise<Result> {
    const base = await this.#baseVersions.open(deltas, new Set(adapted.map(({ name }) => name)), signal);
    try {
      return await work(base, async (request) => base.place(await this.#compile(request)));
    } finally {
      await base.release();
    }
  }

  async #readHeldOut(
    data: DataSource,
    { task }: PlanInstructions,
    signal: AbortSignal,
  ): Promise<readonly EncodedExample[]> {
    if (data.evaluation === undefined) {
      throw new FedLoraError("data-empty", `data set "${data.name}" has no held-out examples`);
    }
    const turn = createFairShare(this.#clock);
    const source = await readExamples(data.evaluation(signal), data.name, signal, turn);
    const encode = createExampleEncoder(task, this.#baseModel.tokenizer, data.name);
    const examples: EncodedExample[] = [];
    for (const [index, example] of source.entries()) {
      assertNotAborted(signal);
      const encoded = encode(example, index);
      if (encoded !== undefined) examples.push(encoded);
      await turn();
    }
    if (examples.length === 0) {
      throw new FedLoraError("data-empty", `no held-out example of data set "${data.name}" has a target`);
    }
    return examples;
  }
}

/** @throws FedLoraError `directive-unknown`, `model-unsupported` */
function assertSupported({ task, directives }: PlanInstructions, { family, maxPositions }: BaseModel): void {
  for (const { kind, version } of directives) {
    if (!supportedDirectives.includes(`${kind}@${version}`)) {
      throw new FedLoraError("directive-unknown", `directive ${kind}@${version} is not one of this build`);
    }
  }
  if (!family.tasks.includes(task.kind)) {
    const message = `family "${family.name}" does ${family.tasks.join(", ")}, not ${task.kind}`;
    throw new FedLoraError("model-unsupported", message);
  }
  if (task.maxTokens > maxPositions) {
    const message = `task.maxTokens ${task.maxTokens} is more than the ${maxPositions} positions of the base model`;
    throw new FedLoraError("model-unsupported", message);
  }
}

/** Roles of the adapter's own tensors. */
function adapterRoles({ roles }: PlanInstructions): TensorRoles {
  return roles.filter(({ spec }) => !isControlTensor(spec.name));
}

/** The start values of every role, as F32. */
function takeStart(roles: TensorRoles, start: StateDict): StateDict {
  return toStateDict(
    roles.map(({ spec: { name, shape } }) => {
      const tensor = start.get(name);
      if (tensor === undefined || !shapesEqual(tensor.shape, shape)) {
        const got = tensor === undefined ? "is missing" : `has shape [${tensor.shape.join(", ")}]`;
        throw new FedLoraError("adapter-invalid", `start value of "${name}" [${shape.join(", ")}] ${got}`, {
          details: { tensor: name },
        });
      }
      return [name, tensor.dtype === "F32" ? tensor : fromFloat32(copyFloat32(tensor), shape)];
    }),
  );
}
