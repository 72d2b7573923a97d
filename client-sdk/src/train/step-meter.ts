import { adaptedLayers, type AdaptableModule } from "@fedlora/core";
import type { StepTimes } from "@fedlora/proto";
import type { AdaptedModule, ArtifactManifest } from "../engine/artifact.js";
import { DepthCost } from "./depth-cost.js";

/** What a training step costs on this machine; whoever reports it adds the run. */
export type LocalStepTimes = Omit<StepTimes, "runId">;

/** Times of a graph's runs of one kind, and the most memory that one of them takes. */
export class RunTimes {
  readonly #runs: { readonly ms: number; readonly tokens: number }[] = [];
  #activationBytes = 0;
  #largestTokens = 0;

  /** @param ms of one run; tokens with padding are what it costs */
  add({ request, activationBytes }: Pick<ArtifactManifest, "request" | "activationBytes">, ms: number): void {
    const tokens = request.batch * request.length;
    this.#runs.push({ ms, tokens });
    if (tokens <= this.#largestTokens) return;
    this.#largestTokens = tokens;
    this.#activationBytes = activationBytes;
  }

  /** Mean tokens of a run; 0 without one. */
  get meanTokens(): number {
    return this.#runs.reduce((sum, { tokens }) => sum + tokens, 0) / Math.max(1, this.#runs.length);
  }

  /** Tokens of the largest run. */
  get largestTokens(): number {
    return this.#largestTokens;
  }

  /** Median milliseconds per token, the first run left out where there are others: it fills caches and arenas. */
  get msPerToken(): number {
    const rates = this.#runs.slice(this.#runs.length > 1 ? 1 : 0).map(({ ms, tokens }) => ms / tokens);
    rates.sort((a, b) => a - b);
    const middle = (rates.length - 1) / 2;
    return ((rates[Math.floor(middle)] ?? Number.NaN) + (rates[Math.ceil(middle)] ?? Number.NaN)) / 2;
  }

  /** Bytes of computed values per token of the largest run. */
  get bytesPerToken(): number {
    return this.#activationBytes / this.#largestTokens;
  }
}

/** Puts together what the runs of one model's graphs on one engine say of a step's cost by depth. */
export class StepMeter {
  readonly #weightBytes: number;
  readonly #time: DepthCost;
  readonly #memory = new DepthCost();

  /** @param model before anything was measured, backward passes of all layers count as one forward pass */
  constructor(model: { readonly numLayers: number; readonly weightBytes: number }) {
    this.#weightBytes = model.weightBytes;
    this.#time = new DepthCost(1 / Math.max(1, model.numLayers));
  }

  measuredForward(times: RunTimes): void {
    this.#time.measuredForward(times.msPerToken);
    this.#memory.measuredForward(times.bytesPerToken);
  }

  /** @returns undefined where no layer was trained */
  measuredTraining(times: RunTimes, depth: number): LocalStepTimes | undefined {
    const time = this.#time.measuredTraining(times.msPerToken, depth);
    if (time === undefined) return undefined;
    const memory = this.#memory.measuredTraining(times.bytesPerToken, depth);
    const { meanTokens, largestTokens } = times;
    return {
      forwardMs: time.forward * meanTokens,
      layerMs: time.layer * meanTokens,
      batchTokens: Math.max(1, Math.round(meanTokens)),
      forwardBytes: memory && Math.round(this.#weightBytes + memory.forward * largestTokens),
      layerBytes: memory && Math.round(memory.layer * largestTokens),
    };
  }
}

/** Adapted layers from the lowest trained one to the output: those that a backward pass goes through. */
export function trainedDepth(adapted: readonly AdaptedModule[], modules: readonly AdaptableModule[]): number {
  const trained = new Map(adapted.map((module) => [module.name, module.trained]));
  const layers = adaptedLayers(modules.filter(({ name }) => trained.has(name)));
  const lowest = layers.findIndex((layer) => layer.some(({ name }) => trained.get(name) === true));
  return lowest === -1 ? 0 : layers.length - lowest;
}
