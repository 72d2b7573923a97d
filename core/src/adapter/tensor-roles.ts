import type { TensorSpec } from "../tensor/tensor.js";

/**
 * What a client does with one tensor in one round, as the method declares it. The client, the intake and the byte meter
 * all read this list and nothing else.
 */
export interface TensorRole {
  /** Name (PEFT's state-dict key), dtype of the training value (F32) and shape at this client's rank. */
  readonly spec: TensorSpec;
  /** Gradients are computed and the optimizer changes it. */
  readonly trained: boolean;
  /** Travels to the coordinator in the update. */
  readonly uploaded: boolean;
  /** Travels to the client in the round's download. Otherwise it comes from `frozen` blobs or the client's own state. */
  readonly downloaded: boolean;
  /** Where the client keeps its trained value: nowhere, until the round's end, or for the whole run (FedSA's B). */
  readonly keep: "none" | "round" | "run";
}

export type TensorRoles = readonly TensorRole[];

/** The form of what comes back. */
export type UpdateForm = "delta" | "value" | "sketch" | "control" | "mask";
