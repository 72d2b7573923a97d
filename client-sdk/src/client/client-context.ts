import type { BaseModelHash, Clock, Logger } from "@fedlora/core";
import type { DataSource, LocalTrainer } from "../train/local-trainer.js";
import type { CapabilityMeter } from "./capability-meter.js";
import type { Connection } from "./connection.js";
import type { ClientEvent, OwnerPolicy } from "./options.js";
import type { StateFolder } from "./state-folder.js";

/** Everything that work on a plan needs, put together once per run of the client. */
export interface ClientContext {
  readonly connection: Connection;
  readonly state: StateFolder;
  readonly trainer: LocalTrainer;
  readonly data: DataSource;
  readonly baseModelHash: BaseModelHash;
  readonly policy: OwnerPolicy;
  readonly capability: CapabilityMeter;
  readonly reportIntervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly emit: (event: ClientEvent) => void;
}
