import type { BaseDelta, LocalTrainer, TrainRequest, TrainResult } from "@fedlora/client-sdk";
import type { BlobId, EvaluationCounts, PlanInstructions } from "@fedlora/core";
import type { BlobPool } from "../runtime/blob-pool.js";
import type { ClientData } from "../runtime/client-data.js";
import { KeyedSecrets } from "../runtime/keyed-secrets.js";
import type { Room } from "../runtime/room.js";
import type { ClientMemory } from "../runtime/virtual-state.js";
import type { VirtualClock } from "../runtime/virtual-clock.js";
import { stepMsAt, type DeviceProfile } from "./profile.js";
import type { StepDepth, TrainedPart } from "./step-depth.js";

export interface DeviceTrainerParts {
  readonly trainer: Room;
  readonly device: DeviceProfile;
  readonly data: ClientData;
  /** Base deltas that clients have fetched, by hash. */
  readonly pool: BlobPool;
  readonly memory: ClientMemory;
  readonly clock: VirtualClock;
  readonly actor: number;
  /**
   * Decides, before a plan's training, at which share of it the client vanishes, in (0, 1); undefined: it does not. `vanish` is
   * called at that moment.
   */
  readonly fate: (round: number) => number | undefined;
  readonly depth: StepDepth;
  /** What a training trains; called as it begins. */
  readonly onTraining: (round: number, part: TrainedPart) => void;
  readonly vanish: () => void;
}

/**
 * A trainer at the speed of a device: the real work is done by a trainer that all clients share, its virtual time follows from
 * the steps, their depth and the device alone. Measurements are those of the device.
 */
export class DeviceTrainer implements LocalTrainer {
  readonly #parts: DeviceTrainerParts;

  constructor(parts: DeviceTrainerParts) {
    this.#parts = parts;
  }

  async train(request: TrainRequest, signal: AbortSignal): Promise<TrainResult> {
    const { trainer, device, data, clock, actor, fate, vanish, depth, onTraining } = this.#parts;
    const { instructions } = request;
    const part = depth.trainedBy(instructions.roles);
    onTraining(request.round, part);
    const stepMs = stepMsAt(device, part.reach);
    const trainMs = stepMs * microBatches(instructions, data.trainRows.length);
    const share = fate(request.round);
    if (share !== undefined) {
      // Nobody will see the result, so nothing is computed.
      await clock.actor(actor).sleep(share * trainMs, signal);
      vanish();
      signal.throwIfAborted();
    }
    const baseDeltas = await this.#sourcesOf(request.baseDeltas);
    const sent = { ...request, ...keyed(request), baseDeltas };
    const work = (dueMs: number): Promise<TrainResult> => trainer.train(sent, signal, () => undefined, dueMs);
    const result = await clock.during(actor, trainMs, work, signal);
    // What this machine measured is not the device's; that has told its times already.
    return { ...result, stepMs, stepTimes: undefined, metrics: { ...result.metrics, trainMs } };
  }

  async evaluate(request: Parameters<LocalTrainer["evaluate"]>[0], signal: AbortSignal): Promise<EvaluationCounts> {
    const { trainer, device, data, clock, actor } = this.#parts;
    const batches = Math.ceil(data.heldOutRows.length / request.instructions.training.batchSize);
    const baseDeltas = await this.#sourcesOf(request.baseDeltas);
    const sent = { ...request, ...keyed(request), baseDeltas };
    const work = (dueMs: number): Promise<EvaluationCounts> => trainer.evaluate(sent, signal, () => undefined, dueMs);
    return clock.during(actor, stepMsAt(device, 0) * batches, work, signal);
  }

  /** Those of the last plan: a device keeps its base weights as it last needed them. */
  heldBaseDeltas(ids: readonly string[]): Promise<number> {
    const { baseChain } = this.#parts.memory;
    const different = ids.findIndex((id, index) => baseChain[index]?.blob !== id);
    return Promise.resolve(different < 0 ? ids.length : different);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** What this device has merged already, the trainer that all share may have to merge again. */
  #sourcesOf(deltas: readonly BaseDelta[] = []): Promise<readonly BaseDelta[]> {
    const { pool } = this.#parts;
    return Promise.all(
      deltas.map(async ({ id, source }) => ({ id, source: source ?? (await pool.file(id as BlobId)) })),
    );
  }
}

/** One key of the client's own for all that the trainer draws, who may be in another process. */
function keyed({ secrets }: Pick<TrainRequest, "secrets">): Pick<TrainRequest, "secrets"> {
  return secrets === undefined ? {} : { secrets: new KeyedSecrets(secrets.next()) };
}

/** Micro-batches of one plan's training. */
export function microBatches({ training }: PlanInstructions, numExamples: number): number {
  const { localSteps, localEpochs = 1, batchSize, gradientAccumulation } = training;
  if (localSteps !== undefined) return localSteps * gradientAccumulation;
  return localEpochs * Math.ceil(numExamples / batchSize);
}
