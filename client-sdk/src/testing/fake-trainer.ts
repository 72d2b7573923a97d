import { fromFloat32, toFloat32, type EvaluationCounts, type StateDict } from "@fedlora/core";
import type { LocalTrainer, TrainingProgress, TrainRequest, TrainResult } from "../train/local-trainer.js";

export interface FakeTrainerOptions {
  /** Steps per round, each one turn of the event loop; default 3. */
  readonly steps?: number;
  /** Added to every trained value; default 1. */
  readonly shift?: number;
  /** Base deltas at a chain's start that count as merged; null: it cannot change base weights. Default 0. */
  readonly heldBaseDeltas?: number | null;
  /** Called at the start of every step: throw to fail, await to stall. */
  readonly onStep?: (step: number, request: TrainRequest, signal: AbortSignal) => void | Promise<void>;
}

/** Trains by adding a constant: the protocol around training is tested without a model. */
export class FakeTrainer implements LocalTrainer {
  readonly #options: FakeTrainerOptions;
  /** Requests of every training that was begun. */
  readonly trained: TrainRequest[] = [];
  /** Requests of every evaluation. */
  readonly evaluated: Parameters<LocalTrainer["evaluate"]>[0][] = [];
  closed = false;
  readonly heldBaseDeltas?: (ids: readonly string[]) => Promise<number>;

  constructor(options: FakeTrainerOptions = {}) {
    this.#options = options;
    const { heldBaseDeltas: held = 0 } = options;
    if (held !== null) this.heldBaseDeltas = (ids) => Promise.resolve(Math.min(held, ids.length));
  }

  async train(
    request: TrainRequest,
    signal: AbortSignal,
    onProgress: (progress: TrainingProgress) => void,
  ): Promise<TrainResult> {
    this.trained.push(request);
    const { steps = 3, shift = 1, onStep } = this.#options;
    for (let step = 1; step <= steps; step++) {
      signal.throwIfAborted();
      await onStep?.(step, request, signal);
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      onProgress({ stage: "training", step, totalSteps: steps, loss: 1 / step, tokensPerSecond: 100 });
    }
    const trained: StateDict = new Map(
      request.instructions.roles
        .filter((role) => role.trained)
        .map(({ spec: { name, shape } }) => {
          const start = request.start.get(name);
          if (start === undefined) throw new Error(`no start value for ${name}`);
          return [
            name,
            fromFloat32(
              toFloat32(start).map((value) => value + shift),
              shape,
            ),
          ];
        }),
    );
    return {
      trained,
      metrics: { numExamples: 10, numSteps: steps, trainLoss: 1 / steps, evaluation: undefined, trainMs: 5 },
      optimizerState: new Map([["step", fromFloat32(Float32Array.of(request.round), [1])]]),
      stepMs: 2,
    };
  }

  evaluate(request: Parameters<LocalTrainer["evaluate"]>[0]): Promise<EvaluationCounts> {
    this.evaluated.push(request);
    return Promise.resolve({ count: 4, lossSum: 2, confusion: [2, 0, 1, 1] });
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}
