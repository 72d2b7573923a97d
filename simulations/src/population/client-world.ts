import type { BaseModelHash, RandomKey, RunId } from "@fedlora/core";
import type { SimulationData } from "../data/simulation-data.js";
import type { DeviceFleet } from "../device/profile.js";
import type { StepDepth, TrainedPart } from "../device/step-depth.js";
import type { Behaviours } from "../faults/behaviour.js";
import type { Partition } from "../partition/partition.js";
import type { BlobPool } from "../runtime/blob-pool.js";
import type { InProcessCoordinator } from "../runtime/in-process-transport.js";
import type { KeptStore } from "../runtime/kept-store.js";
import type { Room } from "../runtime/room.js";
import type { VirtualClock } from "../runtime/virtual-clock.js";
import type { DevicesSpec } from "../scenario/device-schema.js";

/** What all virtual clients of a run share; a client itself is a number and what it keeps. */
export interface ClientWorld {
  readonly key: RandomKey;
  readonly clock: VirtualClock;
  readonly coordinator: InProcessCoordinator;
  readonly runId: RunId;
  readonly baseModelHash: BaseModelHash;
  readonly room: Room;
  readonly data: SimulationData;
  readonly partition: Partition;
  /** Share of a client's examples that it sets aside for federated evaluation. */
  readonly heldOutShare: number;
  readonly fleet: DeviceFleet;
  readonly dropout: DevicesSpec["dropout"];
  readonly behaviours: Behaviours;
  readonly pool: BlobPool;
  readonly kept: KeptStore;
  readonly reportIntervalMs: number;
  /** How deep the run's plans train. */
  readonly depth: StepDepth;
  readonly onTraining: (client: number, round: number, part: TrainedPart) => void;
}
