import type { MethodRegistry } from "@fedlora/aggregators";
import type { Clock, ErrorCode, FedLoraError, Logger, RunId } from "@fedlora/core";
import type { KeyObject } from "node:crypto";

import type { AggregationRunner } from "../aggregate/aggregation.js";
import type { Accounting } from "../privacy/accounting.js";
import type { RoundSummary, RunState } from "../service.js";
import type { Storage } from "../storage/storage.js";

/** What `createCoordinatorService` is put together from. It owns none of it: whoever made a part closes it. */
export interface CoordinatorServiceOptions {
  readonly storage: Storage;
  /** Default: the built-in methods. */
  readonly methods?: MethodRegistry;
  readonly aggregation: AggregationRunner;
  /** Where epsilons are computed; default: in this thread. */
  readonly accounting?: Accounting;
  /** The Ed25519 private key that signs receipts; `loadCoordinatorKey`. */
  readonly coordinatorKey: KeyObject;
  /** What to put in the place of signatures where nobody looks at them, as in a simulation; default: the key signs. */
  readonly signReceipt?: (bytes: Uint8Array) => Uint8Array;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Unpredictable bytes for plan ids; default: node:crypto. A simulation passes its own to be reproducible. */
  readonly randomBytes?: (length: number) => Uint8Array;
  /**
   * For tests and simulations only: takes the place of node:crypto where privacy rests on it, noise keys and private cohorts.
   * Nothing is private with it, and every opening logs that.
   */
  readonly testSecrets?: (length: number) => Uint8Array;
  readonly hooks?: CoordinatorHooks;
  readonly tuning?: Partial<CoordinatorTuning>;
}

/** Durations that are no business of a run's spec; all in milliseconds. */
export interface CoordinatorTuning {
  /** After enough clients are present, how much longer a round waits for the others that are known to be alive; default 2000. */
  readonly settleMs: number;
  /** A client that is not waiting in a poll counts as present for so long after its last one; default 30000. */
  readonly presenceMs: number;
  /** Least time that a deadline is given after a restart, so that clients can come back; default 10000. */
  readonly graceMs: number;
  /** Middle of the pause that a waiting client is told; the answer lies between half and one and a half of it; default 1000. */
  readonly retryMs: number;
  /** Pause before a step that failed for want of disk space is tried again; default 10000. */
  readonly storageRetryMs: number;
}

export const defaultTuning: CoordinatorTuning = {
  settleMs: 2000,
  presenceMs: 30_000,
  graceMs: 10_000,
  retryMs: 1000,
  storageRetryMs: 10_000,
};

/** Of a private run, when a round is reserved or committed. */
export interface PrivacyFacts {
  /** Upper bound, reservations included. */
  readonly epsilonSpent: number;
  /** Undefined: accounted only. */
  readonly epsilonBudget: number | undefined;
  readonly noiseMultiplier: number;
  readonly clipNorm: number;
}

/** For metrics; called after the fact is durable. They must not throw. */
export interface CoordinatorHooks {
  readonly onEnrolled?: (numClients: number) => void;
  readonly onRunState?: (runId: RunId, state: RunState) => void;
  readonly onRoundStarted?: (runId: RunId, round: number, cohortSize: number) => void;
  /** No update of the round counts any more; its aggregation begins. */
  readonly onRoundClosed?: (runId: RunId, round: number) => void;
  readonly onUpdateAccepted?: (runId: RunId, bytes: number) => void;
  readonly onUpdateRefused?: (runId: RunId, code: ErrorCode) => void;
  readonly onPlanDeclined?: (runId: RunId, code: string) => void;
  readonly onClientDropped?: (runId: RunId) => void;
  readonly onRoundCommitted?: (runId: RunId, summary: RoundSummary) => void;
  readonly onRoundEvaluated?: (runId: RunId, summary: RoundSummary) => void;
  readonly onPrivacy?: (runId: RunId, facts: PrivacyFacts) => void;
  readonly onBytes?: (runId: RunId, direction: "up" | "down", bytes: number) => void;
  /** The storage refuses this process for good (`storage-fenced`): stop it. */
  readonly onFatal?: (error: FedLoraError) => void;
}
