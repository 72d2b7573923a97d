import {
  OpenBaseDelta,
  type BaseDelta,
  type LocalTrainer,
  type TrainRequest,
  type TrainResult,
} from "@fedlora/client-sdk";
import {
  Slot,
  assertPrivacySound,
  directiveOf,
  heldTensors,
  learningRateFactor,
  learningRates,
  lossBound,
  newControls,
  noiseCounts,
  planAdapter,
  planSteps,
  releasedMetrics,
  slotDirectives,
  streamKeyOf,
  systemSecrets,
  type AdapterPlan,
  type ExampleClipping,
  type HostTensor,
} from "@fedlora/client-sdk/parts";
import {
  FedLoraError,
  RandomStream,
  adapterKeys,
  deriveKey,
  headKeys,
  isControlTensor,
  toStateDict,
  type EvaluationCounts,
  type ModelManifest,
  type PlanInstructions,
  type StateDict,
} from "@fedlora/core";
import type { FeatureTable } from "../data/simulation-data.js";
import { ClientData } from "../runtime/client-data.js";
import {
  backward,
  createActivations,
  forward,
  softmaxLoss,
  type Activations,
  type LinearGradients,
  type LinearWeights,
} from "./forward.js";
import { biasHead, linearModule } from "./linear-model.js";
import { preparePrivateRound } from "./private-steps.js";
import { RowProducts } from "./row-products.js";
import { openSlotKernels } from "./simd-slot-kernels.js";

/** Directives that the linear model's trainer understands; it draws no sketches. */
export const linearDirectives: readonly string[] = [
  "proximal@1",
  "control-variate@1",
  "rank-penalty@1",
  "warm-up@1",
  "received-loss@1",
];

const parts = ["a", "b", "r", "bias"] as const;
const names = { ...adapterKeys(linearModule), bias: headKeys(biasHead).weight };

/**
 * Trains adapters of the linear model on rows of a table: the SDK's optimizer, schedule and directives around a forward and
 * backward pass of its own, fast enough for thousands of clients. Everything runs in one thread and in one order, so equal
 * requests give equal bits.
 */
export class LinearTrainer implements LocalTrainer {
  readonly #table: FeatureTable;
  readonly #manifest: ModelManifest;
  readonly #products = new RowProducts();
  readonly #slotKernels = openSlotKernels();
  readonly #plans = new WeakMap<PlanInstructions, AdapterPlan>();
  #merged: { readonly ids: readonly string[]; readonly weights: Float32Array } | undefined;

  constructor(table: FeatureTable, manifest: ModelManifest) {
    this.#table = table;
    this.#manifest = manifest;
  }

  async train(request: TrainRequest): Promise<TrainResult> {
    const { instructions, round, streamKey, start } = request;
    const { training } = instructions;
    const plan = this.#planOf(instructions);
    assertPrivacySound(instructions, "train");
    if (plan.trained.size === 0) throw new FedLoraError("request-invalid", "the plan trains no tensor");
    const data = rowsOf(request.data);
    const labels = data.labelsOf(data.trainRows);
    const { kind, momentum, beta1, beta2, epsilon, weightDecay } = training.optimizer;
    const slot = new Slot(
      {
        tensors: withoutControls(start),
        trained: [...plan.trained.keys()],
        scalings: plan.scalings,
        ...slotDirectives(instructions, plan, start),
        optimizer: { kind, momentum, beta1, beta2, epsilon, weightDecay },
      },
      this.#slotKernels,
    );
    if (request.optimizerState !== undefined) restore(slot, request.optimizerState);
    const weights = await this.#weightsOf(slot, instructions, plan, request.baseDeltas);
    const activations = this.#activationsOf(weights, data.trainRows);
    const key = streamKeyOf(instructions, streamKey, round);
    const receivedLoss = this.#receivedLoss(instructions, weights, activations, labels);
    const privately = preparePrivateRound(instructions, data.name, labels.length, request.secrets);
    const plain = {
      numExamples: labels.length,
      examplesPerStep: training.batchSize * training.gradientAccumulation,
      limit: training.localSteps === undefined ? { epochs: training.localEpochs ?? 1 } : { steps: training.localSteps },
      orderOf: (epoch: number) => new RandomStream(deriveKey(key, "shuffle", epoch)).shuffle([...labels.keys()]),
      isUsable: () => Promise.resolve(true),
    };
    const steps = privately?.batches.map((examples) => ({ epoch: 0, examples })) ?? (await planSteps(plain));
    const losses = steps.map(({ examples, epoch }, index) => {
      const loss = this.#step(slot, weights, plan, activations, labels, examples, privately?.steps.clipping);
      const totalSteps = instructions.rounds === undefined ? undefined : instructions.rounds * steps.length;
      const factor = learningRateFactor(training.schedule, (round - 1) * steps.length + index, totalSteps);
      slot.apply({
        learningRates: learningRates(training.optimizer, plan.trained, factor),
        // In DP-SGD the examples are clipped instead.
        maxGradNorm: privately === undefined ? (training.maxGradNorm ?? undefined) : undefined,
        proximalMu: directiveOf(instructions, "proximal")?.mu,
        held: heldTensors(instructions, request.isNewcomer === true, index),
        ...(privately && { noise: privately.steps.noise() }),
      });
      return { epoch, loss, count: examples.length };
    });
    const trained = toStateDict([...slot.read()].filter(([name]) => plan.trained.has(name)));
    const rates = learningRates(training.optimizer, plan.trained, 1);
    const controls =
      directiveOf(instructions, "control-variate") === undefined
        ? []
        : newControls(trained, start, steps.length, rates);
    const lastEpoch = losses.at(-1)?.epoch;
    const counted = training.localSteps === undefined ? losses.filter(({ epoch }) => epoch === lastEpoch) : losses;
    return {
      trained: toStateDict([...trained, ...controls]),
      metrics: releasedMetrics(instructions, {
        numExamples: privately === undefined ? new Set(steps.flatMap(({ examples }) => examples)).size : labels.length,
        numSteps: steps.length,
        trainLoss:
          counted.reduce((sum, { loss }) => sum + loss, 0) / counted.reduce((sum, { count }) => sum + count, 0),
        evaluation: undefined,
        trainMs: 0,
        ...(receivedLoss !== undefined && { receivedLoss }),
      }),
      optimizerState: instructions.keepOptimizerState ? slot.optimizer.read() : undefined,
      stepMs: 0,
      ...(privately && { privacy: { numExamples: labels.length, events: privately.steps.events(steps.length) } }),
    };
  }

  async evaluate(
    request: Pick<TrainRequest, "instructions" | "start" | "data" | "baseDeltas" | "secrets">,
  ): Promise<EvaluationCounts> {
    const { instructions, start } = request;
    const plan = this.#planOf(instructions);
    assertPrivacySound(instructions, "evaluate");
    const { task, privacy } = instructions;
    const bound = lossBound(task, 0);
    const data = rowsOf(request.data);
    const rows = data.heldOutRows;
    const labels = rows.map((row) => this.#table.labels[row] ?? 0);
    const slot = new Slot({
      tensors: withoutControls(start),
      trained: [],
      scalings: plan.scalings,
      optimizer: undefined,
    });
    const weights = await this.#weightsOf(slot, instructions, plan, request.baseDeltas);
    const activations = this.#activationsOf(weights, rows);
    activations.products.setMatrix(weights.a);
    const confusion = new Array<number>(weights.labels ** 2).fill(0);
    let lossSum = 0;
    labels.forEach((label, index) => {
      forward(weights, this.#table, index, activations);
      const cell = label * weights.labels + largest(activations.logits);
      confusion[cell] = (confusion[cell] ?? 0) + 1;
      const loss = softmaxLoss(activations.logits, label);
      lossSum += loss < bound || privacy === undefined ? loss : bound;
    });
    const counts = { count: rows.length, lossSum, confusion };
    if (privacy?.metricsNoise === undefined) return counts;
    const { metricsNoise } = privacy;
    return noiseCounts(counts, bound, { ...privacy, metricsNoise }, (request.secrets ?? systemSecrets).next());
  }

  /** A change of the base weights is merged once and kept for the next request with the same ones. */
  heldBaseDeltas(ids: readonly string[]): Promise<number> {
    return Promise.resolve(this.#heldOf(ids));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #heldOf(ids: readonly string[]): number {
    const merged = this.#merged?.ids ?? [];
    return merged.length <= ids.length && merged.every((id, index) => ids[index] === id) ? merged.length : 0;
  }

  /** The same object for the same instructions: a cohort shares them. */
  #planOf(instructions: PlanInstructions): AdapterPlan {
    const known = this.#plans.get(instructions);
    if (known !== undefined) return known;
    const { adapter, task, roles } = instructions;
    const own = roles.filter(({ spec }) => !isControlTensor(spec.name));
    const plan = planAdapter(adapter, task, this.#manifest, own);
    if (plan.adapted[0]?.form === "vera") {
      throw new FedLoraError("model-unsupported", "the linear model takes adapters of the variants lora and latent");
    }
    this.#plans.set(instructions, plan);
    return plan;
  }

  async #weightsOf(
    slot: Slot,
    { roles }: PlanInstructions,
    { scalings }: AdapterPlan,
    deltas: readonly BaseDelta[] = [],
  ): Promise<LinearWeights> {
    const valuesOf = (name: string): Float32Array | undefined => {
      const role = roles.find(({ spec }) => spec.name === name);
      // The slot changes these arrays in place, so every step sees its values.
      return role === undefined ? undefined : (slot.feed(name, role.spec.shape).data as Float32Array);
    };
    const [module] = this.#manifest.modules;
    const { dIn = 0, dOut = 0 } = module ?? {};
    const a = valuesOf(names.a) ?? new Float32Array(0);
    return {
      rank: a.length / dIn,
      labels: dOut,
      dIn,
      scaling: scalings[linearModule] ?? 0,
      a,
      b: valuesOf(names.b) ?? new Float32Array(0),
      r: valuesOf(names.r),
      bias: valuesOf(names.bias) ?? new Float32Array(dOut),
      base: await this.#baseOf(deltas, dOut * dIn),
    };
  }

  async #baseOf(deltas: readonly BaseDelta[], size: number): Promise<Float32Array | undefined> {
    if (deltas.length === 0) return undefined;
    const ids = deltas.map(({ id }) => id);
    const held = this.#heldOf(ids);
    const weights = held === 0 ? new Float32Array(size) : Float32Array.from(this.#merged?.weights ?? []);
    for (const delta of deltas.slice(held)) await this.#merge(delta, weights);
    this.#merged = { ids, weights };
    return weights;
  }

  async #merge(delta: BaseDelta, weights: Float32Array): Promise<void> {
    const [module] = this.#manifest.modules;
    if (module === undefined) return;
    const { dIn, dOut } = module;
    const open = await OpenBaseDelta.open(delta, this.#manifest);
    try {
      if (open.rank === Number.POSITIVE_INFINITY) {
        const rows = await open.denseRows(module, 0, dOut);
        rows.forEach((value, index) => (weights[index] = (weights[index] ?? 0) + value));
        return;
      }
      const { rank, a, b } = await open.factors(module);
      for (let row = 0; row < dOut; row += 1) {
        for (let column = 0; column < dIn; column += 1) {
          let sum = 0;
          for (let k = 0; k < rank; k += 1) sum += (b[row * rank + k] ?? 0) * (a[k * dIn + column] ?? 0);
          weights[row * dIn + column] = (weights[row * dIn + column] ?? 0) + sum;
        }
      }
    } finally {
      await open.close();
    }
  }

  /** Room for a request's examples and everything that is computed of one; the next request takes it over. */
  #activationsOf(weights: LinearWeights, rows: Int32Array): Activations {
    this.#products.open(weights.rank, this.#table, rows);
    return createActivations(this.#products, weights);
  }

  #receivedLoss(
    instructions: PlanInstructions,
    weights: LinearWeights,
    activations: Activations,
    labels: Int32Array,
  ): number | undefined {
    const asked = directiveOf(instructions, "received-loss");
    if (asked === undefined) return undefined;
    activations.products.setMatrix(weights.a);
    const taken = labels.subarray(0, asked.examples);
    let sum = 0;
    taken.forEach((label, index) => {
      forward(weights, this.#table, index, activations);
      sum += softmaxLoss(activations.logits, label);
    });
    return sum / taken.length;
  }

  /** One optimizer step's gradients; returns the sum of the examples' losses. */
  #step(
    slot: Slot,
    weights: LinearWeights,
    { trained }: AdapterPlan,
    activations: Activations,
    labels: Int32Array,
    examples: readonly number[],
    clipping?: ExampleClipping,
  ): number {
    const { products, logits } = activations;
    const gradient = (name: string, like: Float32Array | undefined): Float32Array | undefined =>
      trained.has(name) && like !== undefined ? new Float32Array(like.length) : undefined;
    const gradients: LinearGradients = {
      isATrained: trained.has(names.a),
      b: gradient(names.b, weights.b),
      r: gradient(names.r, weights.r),
      bias: gradient(names.bias, weights.bias),
    };
    products.setMatrix(weights.a);
    let lossSum = 0;
    for (const example of examples) {
      forward(weights, this.#table, example, activations);
      lossSum += softmaxLoss(logits, labels[example] ?? 0);
      if (clipping === undefined) {
        backward(weights, example, activations, 1 / examples.length, gradients);
        continue;
      }
      for (const values of [gradients.b, gradients.r, gradients.bias]) values?.fill(0);
      backward(weights, example, activations, 1, gradients);
      const a = gradients.isATrained ? products.takeSum() : undefined;
      slot.addGradients(perExample(hostTensors({ ...gradients, a }, weights)), clipping);
    }
    if (clipping !== undefined) return lossSum;
    const a = gradients.isATrained ? products.takeSum() : undefined;
    slot.addGradients(hostTensors({ ...gradients, a }, weights), undefined);
    return lossSum;
  }
}

type GradientArrays = Readonly<Record<"a" | "b" | "r" | "bias", Float32Array | undefined>>;

function hostTensors(gradients: GradientArrays, { rank, labels, dIn }: LinearWeights): Map<string, HostTensor> {
  const shapes = { a: [rank, dIn], b: [labels, rank], r: [rank, rank], bias: [labels, 1] } as const;
  const entries = parts.flatMap((part) => {
    const data = gradients[part];
    return data === undefined ? [] : [[names[part], { dtype: "F32", shape: shapes[part], data }] as const];
  });
  return new Map(entries);
}

/** A batch of one example: what the slot clips. */
function perExample(gradients: Map<string, HostTensor>): Map<string, HostTensor> {
  return new Map([...gradients].map(([name, tensor]) => [name, { ...tensor, shape: [1, ...tensor.shape] }]));
}

function rowsOf(data: TrainRequest["data"]): ClientData {
  if (data instanceof ClientData) return data;
  throw new FedLoraError("data-invalid", `data set "${data.name}" has no numbers, which the linear model learns from`);
}

function withoutControls(start: StateDict): StateDict {
  return toStateDict([...start].filter(([name]) => !isControlTensor(name)));
}

function restore(slot: Slot, state: StateDict): void {
  try {
    slot.optimizer.write(state);
  } catch (error) {
    // Moments of another set of tensors are of no use: a fresh start then.
    if (!(error instanceof FedLoraError && error.code === "tensor-invalid")) throw error;
  }
}

function largest(values: Float64Array): number {
  let best = 0;
  for (let index = 1; index < values.length; index += 1) if ((values[index] ?? 0) > (values[best] ?? 0)) best = index;
  return best;
}
