import type { TensorRoles, UpdateForm } from "../adapter/tensor-roles.js";
import type { BaseModelHash, BlobId, PlanId, RoundNumber, RunId } from "../ids.js";
import type { AdapterSpec, TaskSpec, TrainingSpec } from "../run-spec/schema.js";
import type { TensorLayout } from "../tensor/tensor.js";
import type { Directive } from "./directive.js";
import type { PlanPrivacy } from "./plan-privacy.js";

export type PlanKind = "train" | "evaluate";

/** One change to the base weights: a safetensors file with the tensors of `baseDeltaKeys`, F32, F16 or BF16. */
export interface BaseDeltaLink {
  readonly fromVersion: number;
  /** Above `fromVersion`. */
  readonly toVersion: number;
  readonly blob: BlobId;
}

/**
 * What one client is asked to do in one round: an envelope of hashes, under 16 KiB on the wire. Everything large is a blob.
 */
export interface RoundPlan {
  readonly planId: PlanId;
  readonly runId: RunId;
  readonly round: RoundNumber;
  readonly kind: PlanKind;
  /** For the owner's policy, which may allow methods by name. */
  readonly method: { readonly name: string; readonly version: number };
  readonly baseModelHash: BaseModelHash;
  /** Version of the base weights (methods that edit the base count it up); 0 = as downloaded. */
  readonly baseVersion: number;
  /**
   * The changes, oldest first and without a gap, that lead to `baseVersion` from the version that the client says it has,
   * or from 0. Absent: none.
   */
  readonly baseDeltas?: readonly BaseDeltaLink[] | undefined;
  /** `PlanInstructions` as canonical JSON; equal for all clients with the same instructions, so it is cached by hash. */
  readonly instructions: BlobId;
  /** safetensors of the tensors whose role says `downloaded`. */
  readonly globalAdapter: BlobId;
  /** Frozen tensors shared by hash, each blob a safetensors file. */
  readonly frozen: readonly BlobId[];
  /** Time left to deliver, as a duration: no clocks are compared. */
  readonly deadlineMs: number;
  /** For the owner's policy and for disk space: bytes down for a client with an empty cache, most bytes up. */
  readonly downloadBytes: number;
  readonly uploadBytes: number;
}

/** What to train and how: the same for every client with the same capability. */
export interface PlanInstructions {
  readonly format: "fedlora-instructions/1";
  readonly task: TaskSpec;
  readonly adapter: AdapterSpec;
  readonly training: TrainingSpec;
  readonly roles: TensorRoles;
  readonly updateForm: UpdateForm;
  /** Exactly what the update's safetensors must hold, in canonical order: `codec.encodedLayout` of the uploaded roles. */
  readonly uploadLayout: TensorLayout;
  /** Of the update; see `codecOf`. */
  readonly codec: string;
  /** Of the round's download; absent: f32. */
  readonly downloadCodec?: string | undefined;
  /** Whether the client adds what the codec lost to its next update of the run (lossy codecs); absent: no. */
  readonly errorFeedback?: boolean | undefined;
  readonly directives: readonly Directive[];
  /** Whether the optimizer's moments are kept from round to round. */
  readonly keepOptimizerState: boolean;
  /** Base of the client's random streams (shuffling, dropout); combined with run, round and client id. */
  readonly seed: number;
  /** Rounds of the run, for learning-rate schedules that end with it; absent: none ends. */
  readonly rounds?: number | undefined;
  /** What the client does for differential privacy; absent: nothing. */
  readonly privacy?: PlanPrivacy | undefined;
}
