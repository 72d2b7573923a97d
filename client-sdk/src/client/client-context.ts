import type { BaseModelHash, Clock, Logger } from "@fedlora/core";
import type { SecretSource } from "../privacy/secrets.js";
import type { DataSource, LocalTrainer } from "../train/local-trainer.js";
import type { CapabilitySource } from "./capability-meter.js";
import type { Connection } from "./connection.js";
import type { ClientEvent, OwnerPolicy } from "./options.js";
import type { ClientState } from "./client-state.js";

/** Everything that work on a plan needs, put together once per run of the client. */
export interface ClientContext {
  /** Address of the coordinator, for the owner's ledger. */
  readonly coordinator: string;
  readonly connection: Connection;
  readonly state: ClientState;
  readonly trainer: LocalTrainer;
  readonly data: DataSource;
  readonly baseModelHash: BaseModelHash;
  readonly policy: OwnerPolicy;
  readonly capability: CapabilitySource;
  readonly reportIntervalMs: number;
  /** Keys of private steps, updates and counts. */
  readonly secrets: SecretSource;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly emit: (event: ClientEvent) => void;
}
