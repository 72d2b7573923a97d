import type { BaseModelHash, Clock, FedLoraError, Logger, RunId } from "@fedlora/core";
import { type SecretSource, systemSecrets } from "../privacy/secrets.js";
import type { DataSource, LocalTrainer } from "../train/local-trainer.js";
import type { RetryDependencies } from "../transport/retry.js";
import type { Transport } from "../transport/transport.js";
import type { CapabilitySource } from "./capability-meter.js";
import { runSession } from "./client-session.js";
import type { ClientState } from "./client-state.js";
import { Connection } from "./connection.js";
import type { ClientEvent, OwnerPolicy } from "./options.js";

/** All that a client is put together from; whoever made a part closes it. */
export interface ParticipationParts {
  readonly name: string;
  /** Under which the coordinator's key is pinned. */
  readonly coordinator: string;
  readonly transport: Transport;
  readonly state: ClientState;
  readonly baseModelHash: BaseModelHash;
  readonly trainer: LocalTrainer;
  readonly data: DataSource;
  readonly capability: CapabilitySource;
  readonly policy: OwnerPolicy;
  /** Only this run; undefined: whatever the coordinator offers. */
  readonly runId: RunId | undefined;
  readonly reportIntervalMs: number;
  readonly retry: Omit<RetryDependencies, "onRetry">;
  /** Keys of private steps, updates and counts; default: the system's cryptographic generator. */
  readonly secrets?: SecretSource;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly emit: (event: ClientEvent) => void;
  /** Resolves when another plan may be taken; rejects with the signal's reason. */
  readonly hasRoom: (signal: AbortSignal) => Promise<void>;
}

/**
 * A client's part in federated training, from its enrolment until the run ends or the signal aborts. `FederatedClient` runs
 * it on a state folder, a network and an engine; a simulation on stand-ins for them.
 *
 * Throws what no retry can mend, see `FederatedClient.run`.
 */
export async function takePart(parts: ParticipationParts, signal: AbortSignal): Promise<void> {
  const { name, coordinator, transport, state, baseModelHash, capability, emit, hasRoom, runId } = parts;
  const retry = {
    ...parts.retry,
    onRetry: ({ code, message }: FedLoraError, delayMs: number) => emit({ type: "retrying", code, message, delayMs }),
  };
  const connection = new Connection({
    transport,
    identity: state.identity,
    name,
    baseModelHashes: [baseModelHash],
    capability: () => capability.report(),
    retry,
    trust: (key) => state.pinCoordinatorKey(coordinator, key),
    onEnrolled: (clientId) => emit({ type: "enrolled", clientId }),
    signal,
  });
  const { trainer, data, policy, reportIntervalMs, secrets = systemSecrets, clock, logger } = parts;
  const context = {
    coordinator,
    connection,
    state,
    trainer,
    data,
    baseModelHash,
    policy,
    capability,
    reportIntervalMs,
    secrets,
    clock,
    logger,
    emit,
  };
  await runSession({ context, hasRoom, runId, retry }, signal);
}
