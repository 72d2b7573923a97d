import { FedLoraError, toStateDict } from "@fedlora/core";
import type { StateDict, Tensor } from "@fedlora/core";
import type { OptimizerSettings } from "../engine.js";
import { adamwStep } from "./adamw.js";
import { sgdStep } from "./sgd.js";
import { plainKernels, type SlotKernels } from "./slot-kernels.js";
import type { AdamWTensor } from "./adamw.js";
import { toFloats, toTensor } from "./host-floats.js";

/** A trained tensor: its values, which the optimizer changes in place, and the gradient to apply. */
export interface Parameter {
  readonly shape: readonly number[];
  readonly values: Float32Array;
  readonly gradient: Float32Array;
}

interface Tracked {
  readonly parameter: Parameter;
  /** Of the gradients, [elements] each; undefined: zeros, for which plain SGD needs no room. */
  moments: Pick<AdamWTensor, "expAvg" | "expAvgSq"> | undefined;
}

const noBuffer = new Float32Array(0);

/** AdamW or SGD over named parameters with one step count; its state (for SGD the momentum, as the first moment) can be kept from round to round. */
export class Optimizer {
  readonly #settings: OptimizerSettings;
  readonly #kernels: SlotKernels;
  readonly #tracked = new Map<string, Tracked>();
  #steps = 0;

  constructor(
    settings: OptimizerSettings,
    parameters: ReadonlyMap<string, Parameter>,
    kernels: SlotKernels = plainKernels,
  ) {
    this.#settings = settings;
    this.#kernels = kernels;
    for (const [name, parameter] of parameters) this.#tracked.set(name, { parameter, moments: undefined });
  }

  /**
   * Throws `request-invalid` before anything changes where a tensor has no learning rate >= 0.
   *
   * @param held tensors that stay as they are, with their moments
   */
  step(learningRates: Readonly<Record<string, number>>, held: ReadonlySet<string> = new Set()): void {
    const updates = [...this.#tracked]
      .filter(([name]) => !held.has(name))
      .map(([name, tracked]) => ({ tracked, rate: rateOf(learningRates, name) }));
    this.#steps += 1;
    for (const { tracked, rate } of updates) {
      const { shape, values, gradient } = tracked.parameter;
      // Only matrices decay: biases would be pulled to zero for no gain.
      const weightDecay = shape.length > 1 ? this.#settings.weightDecay : 0;
      const settings = { ...this.#settings, weightDecay };
      if (settings.kind === "sgd") {
        const buffer = (settings.momentum ?? 0) === 0 ? noBuffer : momentsOf(tracked).expAvg;
        sgdStep(values, buffer, gradient, settings, rate, this.#kernels);
      } else {
        adamwStep({ values, ...momentsOf(tracked) }, gradient, settings, rate, this.#steps);
      }
    }
  }

  /** `NAME.exp_avg` and `NAME.exp_avg_sq` per parameter and one `step` (I32 scalar), in canonical order. */
  read(): StateDict {
    const state: [string, Tensor][] = [
      ["step", { dtype: "I32", shape: [], bytes: new Uint8Array(new Int32Array([this.#steps]).buffer) }],
    ];
    for (const [name, tracked] of this.#tracked) {
      const { expAvg, expAvgSq } = momentsOf(tracked);
      state.push([`${name}.exp_avg`, toTensor(tracked.parameter.shape, expAvg)]);
      state.push([`${name}.exp_avg_sq`, toTensor(tracked.parameter.shape, expAvgSq)]);
    }
    return toStateDict(state);
  }

  /** Throws `tensor-invalid` and changes nothing unless the state is that of an optimizer with the same parameters. */
  write(state: StateDict): void {
    const step = state.get("step");
    if (step?.dtype !== "I32" || step.bytes.byteLength !== 4) {
      throw new FedLoraError("tensor-invalid", 'the optimizer state has no I32 scalar "step"');
    }
    const read = [...this.#tracked].map(([name, tracked]) => {
      const { shape } = tracked.parameter;
      const expAvg = floatsOf(state, `${name}.exp_avg`, shape);
      return { tracked, moments: { expAvg, expAvgSq: floatsOf(state, `${name}.exp_avg_sq`, shape) } };
    });
    for (const { tracked, moments } of read) tracked.moments = moments;
    this.#steps = new DataView(step.bytes.buffer, step.bytes.byteOffset, 4).getInt32(0, true);
  }
}

function momentsOf(tracked: Tracked): NonNullable<Tracked["moments"]> {
  const { length } = tracked.parameter.values;
  tracked.moments ??= { expAvg: new Float32Array(length), expAvgSq: new Float32Array(length) };
  return tracked.moments;
}

function floatsOf(state: StateDict, name: string, shape: readonly number[]): Float32Array {
  const tensor = state.get(name);
  if (tensor === undefined) throw new FedLoraError("tensor-invalid", `the optimizer state lacks "${name}"`);
  return toFloats(name, tensor, shape);
}

function rateOf(learningRates: Readonly<Record<string, number>>, name: string): number {
  const rate = learningRates[name];
  if (rate === undefined || !Number.isFinite(rate) || rate < 0) {
    throw new FedLoraError("request-invalid", `learning rate ${String(rate)} for "${name}" must be a number >= 0`);
  }
  return rate;
}
