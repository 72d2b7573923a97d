import { FedLoraError, compareNames, elementCount, shapesEqual } from "@fedlora/core";
import type { StateDict, Tensor } from "@fedlora/core";
import type { ApplyRequest, ExampleClipping, HostTensor, SlotSpec, TailPenalty } from "../engine.js";
import { ClippedSums } from "./clipped-sums.js";
import { addExamples, addInto, clipToNorm, globalNorm } from "./gradients.js";
import { toFloats, toTensor } from "./host-floats.js";
import { Optimizer } from "./optimizer.js";
import type { Parameter } from "./optimizer.js";
import { copyBlock, isPaddedRank, leadingBlocks } from "./padded-rank.js";
import { plainKernels, type SlotKernels } from "./slot-kernels.js";
import { addTailPenalty } from "./tail-penalty.js";

interface SlotTensor {
  readonly host: HostTensor & { readonly data: Float32Array };
  /** Copies in other shapes that graphs ask for, by shape; refilled after every change of the values. */
  readonly copies: Map<string, { readonly host: HostTensor & { readonly data: Float32Array }; version: number }>;
}

interface Trained extends Parameter {
  /** Values at creation, where FedProx pulls to; as floats from the first pull on, since most slots never need the room. */
  readonly created: Tensor;
  anchor?: Float32Array;
}

/**
 * One client's adapter in host memory: values, gradient buffer and AdamW state, all float32. Arithmetic runs in a fixed
 * order, so the same calls give the same bits.
 */
export class Slot {
  readonly #tensors = new Map<string, SlotTensor>();
  readonly #trained = new Map<string, Trained>();
  readonly #scalings = new Map<string, HostTensor>();
  readonly #baseDelta = new Map<string, HostTensor>();
  readonly #offsets = new Map<string, Float32Array>();
  readonly #tailPenalties: readonly TailPenalty[];
  readonly #optimizer: Optimizer | undefined;
  /** Made by the first private step: most slots never need the room. */
  #clippedSums: ClippedSums | undefined;
  #version = 0;
  /** What the buffer holds: gradients that may be applied as they are, or clipped ones that wait for their noise. */
  #buffer: "empty" | "plain" | "clipped" = "empty";

  readonly #kernels: SlotKernels;

  constructor(spec: SlotSpec, kernels: SlotKernels = plainKernels) {
    this.#kernels = kernels;
    for (const [name, tensor] of [...spec.tensors].sort(([a], [b]) => compareNames(a, b))) {
      const host = { dtype: "F32" as const, shape: [...tensor.shape], data: toFloats(name, tensor) };
      this.#tensors.set(name, { host, copies: new Map() });
    }
    for (const name of [...spec.trained].sort()) {
      const { shape, data } = this.#tensor(name).host;
      const created = spec.tensors.get(name) ?? toTensor(shape, data);
      this.#trained.set(name, { shape, values: data, gradient: new Float32Array(data.length), created });
    }
    for (const [module, value] of Object.entries(spec.scalings)) {
      this.#scalings.set(module, { dtype: "F32", shape: [], data: new Float32Array([value]) });
    }
    for (const [name, tensor] of spec.baseDelta ?? []) {
      this.#baseDelta.set(name, { dtype: "F32", shape: [...tensor.shape], data: toFloats(name, tensor) });
    }
    for (const [name, tensor] of spec.gradientOffsets ?? []) {
      this.#offsets.set(name, toFloats(name, tensor, this.#trainedTensor(name).shape));
    }
    this.#tailPenalties = spec.tailPenalties ?? [];
    this.#optimizer = spec.optimizer && new Optimizer(spec.optimizer, this.#trained, kernels);
  }

  get trainedNames(): readonly string[] {
    return [...this.#trained.keys()];
  }

  /** Throws `request-invalid` for an evaluation slot. */
  get optimizer(): Optimizer {
    if (this.#optimizer === undefined) throw new FedLoraError("request-invalid", "an evaluation slot has no optimizer");
    return this.#optimizer;
  }

  /**
   * A tensor as the graph wants it: as it is, filled up with zeros where the graph's rank is higher, and once per example
   * where the shape has a leading batch dimension.
   */
  feed(name: string, shape: readonly number[]): HostTensor {
    const { host, copies } = this.#tensor(name);
    if (shapesEqual(host.shape, shape)) return host;
    const isBatched = shape.length > host.shape.length;
    const single = isBatched ? shape.slice(1) : shape;
    if (!isPaddedRank(name, host.shape, single)) {
      throw new FedLoraError(
        "adapter-invalid",
        `adapter tensor "${name}" has shape [${host.shape.join(", ")}], the graph wants [${shape.join(", ")}]`,
      );
    }
    const key = shape.join();
    let copy = copies.get(key);
    if (copy === undefined) {
      copy = { host: { dtype: "F32", shape: [...shape], data: new Float32Array(elementCount(shape)) }, version: -1 };
      copies.set(key, copy);
    }
    if (copy.version !== this.#version) {
      const size = elementCount(single);
      const { data } = copy.host;
      for (let at = 0; at < data.length; at += size) {
        copyBlock({ from: host.data, fromShape: host.shape, to: data.subarray(at, at + size), toShape: single });
      }
      copy.version = this.#version;
    }
    return copy.host;
  }

  scaling(module: string): HostTensor {
    const scaling = this.#scalings.get(module);
    if (scaling === undefined) throw new FedLoraError("adapter-invalid", `the slot has no scaling for "${module}"`);
    return scaling;
  }

  /** One half of a low-rank change to a frozen weight, in the shape that the graph asks for. */
  baseDelta(name: string, shape: readonly number[]): HostTensor {
    const tensor = this.#baseDelta.get(name);
    if (tensor === undefined || !shapesEqual(tensor.shape, shape)) {
      const got = tensor === undefined ? "is missing" : `has shape [${tensor.shape.join(", ")}]`;
      throw new FedLoraError("adapter-invalid", `base delta "${name}" [${shape.join(", ")}] of the slot ${got}`);
    }
    return tensor;
  }

  /**
   * Adds one batch's gradients, by tensor name, to the buffer. Gradients with a leading batch dimension are summed over
   * the examples, each example first clipped where `clipping` is given.
   */
  addGradients(results: ReadonlyMap<string, HostTensor>, clipping: ExampleClipping | undefined): void {
    const sums = new Map<string, Float32Array>();
    const added = new Map<string, Float32Array>();
    let batch: number | undefined;
    for (const [name, { shape, gradient }] of this.#trained) {
      const result = results.get(name);
      if (!(result?.data instanceof Float32Array)) {
        throw new FedLoraError("adapter-invalid", `the graph gives no gradient for the trained tensor "${name}"`);
      }
      const isBatched = result.shape.length > shape.length;
      const single = isBatched ? result.shape.slice(1) : result.shape;
      if (result.data.length !== elementCount(result.shape) || !isPaddedRank(name, shape, single)) {
        const got = result.shape.join(", ");
        throw new FedLoraError("artifact-invalid", `the gradient of "${name}" has shape [${got}]`);
      }
      if (isBatched) batch = result.shape[0];
      sums.set(name, gradient);
      added.set(name, shapesEqual(single, shape) ? result.data : leadingBlocks(result.data, single, shape));
    }
    if (this.#buffer === (clipping === undefined ? "clipped" : "plain")) {
      throw new FedLoraError("request-invalid", "clipped and unclipped gradients do not go into one step");
    }
    const isFirst = this.#buffer === "empty";
    if (clipping !== undefined) {
      if (batch === undefined) {
        throw new FedLoraError("request-invalid", "clipping needs an artifact with per-example gradients");
      }
      this.#clipped.add(added, batch, clipping);
    } else if (batch !== undefined) {
      addExamples(sums, added, batch, isFirst);
    } else {
      for (const [name, values] of added) addInto(sums.get(name) ?? values, values, isFirst);
    }
    this.#buffer = clipping === undefined ? "plain" : "clipped";
  }

  /**
   * Adds the noise of a private step, the proximal term and the penalties, clips, adds the offsets, updates the values and empties the buffer; returns
   * the norm before clipping. Offsets come after: what a client clips is its own gradient, and what its change then says
   * of that (SCAFFOLD) stays true.
   *
   * Throws `update-not-finite` naming the tensor, with values and optimizer as they were and the buffer emptied.
   */
  apply(request: Omit<ApplyRequest, "slot">): number {
    const { optimizer } = this;
    this.#takeBuffer(request.noise);
    if (request.proximalMu !== undefined) this.#addProximal(request.proximalMu);
    for (const penalty of this.#tailPenalties) this.#addTailPenalty(penalty);
    const held = new Set(request.held);
    const moved = [...this.#trained].filter(([name]) => !held.has(name));
    const gradients = new Map(moved.map(([name, { gradient }]) => [name, gradient]));
    const norm = globalNorm(gradients, this.#kernels);
    if (request.maxGradNorm !== undefined) clipToNorm(gradients, norm, request.maxGradNorm);
    for (const [name, offset] of this.#offsets) addInto(this.#trainedTensor(name).gradient, offset, false);
    optimizer.step(request.learningRates, held);
    this.#version += 1;
    return norm;
  }

  /** The sums in the buffer, which is empty then; throws `update-not-finite` naming the tensor. */
  takeGradients(): StateDict {
    this.#takeBuffer(undefined);
    globalNorm(new Map([...this.#trained].map(([name, { gradient }]) => [name, gradient])));
    return new Map([...this.#trained].map(([name, { shape, gradient }]) => [name, toTensor(shape, gradient)]));
  }

  /** All values, in canonical order. */
  read(): StateDict {
    return new Map([...this.#tensors].map(([name, { host }]) => [name, toTensor(host.shape, host.data)]));
  }

  /** Replaces the values of the tensors given; the others, the anchor and the optimizer stay. */
  write(tensors: StateDict): void {
    const values = [...tensors].map(([name, tensor]) => {
      const { data, shape } = this.#tensor(name).host;
      return { data, floats: toFloats(name, tensor, shape) };
    });
    for (const { data, floats } of values) data.set(floats);
    this.#version += 1;
  }

  /** Empties the buffer into the gradients; without noise only what was not clipped. */
  #takeBuffer(noise: ApplyRequest["noise"]): void {
    const held = this.#buffer;
    this.#buffer = "empty";
    if (noise !== undefined && held !== "plain") {
      this.#clipped.release(new Map([...this.#trained].map(([name, { gradient }]) => [name, gradient])), noise);
    } else if (held === "empty") {
      throw new FedLoraError("request-invalid", "no gradients are there: accumulate a batch first");
    } else if (noise !== undefined) {
      throw new FedLoraError("privacy-invalid", "noise on gradients that were not clipped protects nobody");
    } else if (held === "clipped") {
      this.#clipped.clear();
      throw new FedLoraError("privacy-invalid", "clipped gradients leave their sum with noise only");
    }
  }

  get #clipped(): ClippedSums {
    this.#clippedSums ??= new ClippedSums(new Map([...this.#trained].map(([name, t]) => [name, t.values.length])));
    return this.#clippedSums;
  }

  #addProximal(proximalMu: number): void {
    const mu = Math.fround(proximalMu);
    for (const [name, trained] of this.#trained) {
      const { values, gradient } = trained;
      const anchor = (trained.anchor ??= toFloats(name, trained.created));
      for (let i = 0; i < gradient.length; i++) {
        const pull = Math.fround(mu * Math.fround((values[i] ?? 0) - (anchor[i] ?? 0)));
        gradient[i] = (gradient[i] ?? 0) + pull;
      }
    }
  }

  #addTailPenalty({ a, b, from, lambda }: TailPenalty): void {
    const tail = { a: this.#tensor(a).host, b: this.#tensor(b).host };
    const gradients = { a: this.#trained.get(a)?.gradient, b: this.#trained.get(b)?.gradient };
    addTailPenalty(tail, gradients, from, lambda);
  }

  #trainedTensor(name: string): Trained {
    const tensor = this.#trained.get(name);
    if (tensor === undefined) throw new FedLoraError("adapter-invalid", `the slot trains no tensor "${name}"`);
    return tensor;
  }

  #tensor(name: string): SlotTensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new FedLoraError("adapter-invalid", `the slot has no adapter tensor "${name}"`);
    return tensor;
  }
}
