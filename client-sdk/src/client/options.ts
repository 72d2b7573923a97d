import type { BaseModelHash, Clock, EvaluationCounts, Logger, RoundPlan, RunId, UpdateReceipt } from "@fedlora/core";
import type { EngineOptions } from "../engine/engine.js";
import type { PrivacyPolicy } from "../privacy/owner-privacy.js";
import type { DataSource, LocalTrainer, TrainingProgress } from "../train/local-trainer.js";
import type { RetryPolicy } from "../transport/retry.js";
import type { Transport } from "../transport/transport.js";

/** What the owner of the data allows; a plan outside it is declined with a reason. */
export interface OwnerPolicy {
  /** Names of methods; default: all. */
  readonly methods?: readonly string[];
  /** Content hashes of base models; default: the client's own model. */
  readonly baseModels?: readonly string[];
  /** Most bytes to download or upload for one plan; default 1 GiB each. */
  readonly maxDownloadBytes?: number;
  readonly maxUploadBytes?: number;
  /** Local hours in which training may start, [from, to) in 0..24, may wrap round midnight; default: always. */
  readonly hours?: { readonly from: number; readonly to: number };
  /** What plans must do for the data's privacy, and how much of it may be spent; default: anything goes. */
  readonly privacy?: PrivacyPolicy;
  /** Asked before every plan; false or a reason declines. */
  canTrain?(plan: RoundPlan): boolean | string | Promise<boolean | string>;
}

export interface FederatedClientOptions {
  /** `host:port` of the coordinator. */
  readonly coordinator: string;
  readonly data: DataSource;
  /** Folder with config.json, safetensors and tokenizer.json. */
  readonly baseModel: string;
  /** Folder for keys, caches and unfinished work; made when missing. One client process per folder. */
  readonly stateFolder: string;
  readonly name?: string;
  /** Only this run; default: whatever the coordinator offers for the base model. */
  readonly runId?: RunId;
  readonly engine?: Partial<EngineOptions>;
  readonly policy?: OwnerPolicy;
  /** Plaintext to another host than loopback; default false. */
  readonly insecure?: boolean;
  readonly logger?: Logger;
  /** Bytes of downloads kept on disk, least recently used ones removed; default 2 GiB. */
  readonly cacheBytes?: number;
  /** Folder of the prepared weights and compiled graphs; clients may share it. Default: `model` in the state folder. */
  readonly modelCacheFolder?: string;
  /** Class of this machine, for rank plans by class (`tiers`): lower-case letters, digits, hyphens, at most 32. Default: none. */
  readonly deviceClass?: string;
  /** Largest LoRA rank that this client trains; default: whatever a plan asks for. */
  readonly maxRank?: number;
  /** Times a training step at the first start, for rank plans by speed; kept in the model cache. Default true. */
  readonly probe?: boolean;
  /** Time between reports of progress while working on a plan; default 5000 ms. */
  readonly reportIntervalMs?: number;
  /** Default: from 0.5 s, doubling to 30 s, without an end; `maxAttempts` gives up. */
  readonly retry?: Partial<RetryPolicy>;
  /** Replaced in tests and simulations; `baseModelHash` is what the replaced trainer trains. */
  readonly transport?: Transport;
  readonly trainer?: LocalTrainer;
  readonly baseModelHash?: BaseModelHash;
  readonly clock?: Clock;
  /** Uniform in [0, 1); spreads retries. */
  readonly random?: () => number;
  /**
   * For tests alone: noise, samples and masks of private plans follow from this integer instead of the system's
   * cryptographic generator, so that whoever knows it takes the noise off. Every round logs a warning.
   */
  readonly insecureNoiseSeed?: number;
}

/** Everything that happens, in order; `type` discriminates. */
export type ClientEvent =
  | { readonly type: "enrolled"; readonly clientId: string }
  | { readonly type: "waiting"; readonly reason: string; readonly retryAfterMs: number }
  | { readonly type: "plan"; readonly plan: RoundPlan }
  | { readonly type: "declined"; readonly plan: RoundPlan; readonly code: string; readonly reason: string }
  /** Something that the owner should know; work goes on. */
  | { readonly type: "warning"; readonly round: number; readonly code: string; readonly message: string }
  | { readonly type: "downloaded"; readonly bytes: number; readonly cachedBytes: number }
  | ({ readonly type: "progress"; readonly round: number } & TrainingProgress)
  | { readonly type: "evaluated"; readonly round: number; readonly counts: EvaluationCounts }
  | { readonly type: "uploading"; readonly round: number; readonly sentBytes: number; readonly totalBytes: number }
  | { readonly type: "accepted"; readonly receipt: UpdateReceipt }
  | { readonly type: "refused"; readonly round: number; readonly code: string; readonly message: string }
  | { readonly type: "abandoned"; readonly round: number; readonly reason: string }
  | { readonly type: "retrying"; readonly code: string; readonly message: string; readonly delayMs: number }
  | { readonly type: "ended"; readonly runId: RunId; readonly state: "completed" | "stopped" | "failed" };
