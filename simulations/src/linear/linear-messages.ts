import type { BaseDelta, TrainRequest, TrainResult } from "@fedlora/client-sdk";
import type { EvaluationCounts, ModelManifest, PlanInstructions, StateDict } from "@fedlora/core";
import type { FeatureTable } from "../data/simulation-data.js";
import type { EngineIdentity } from "../device/profile.js";

/** The data of one client as they cross a thread. */
export interface SentRows {
  readonly name: string;
  readonly trainRows: Int32Array;
  readonly heldOutRows: Int32Array;
  /** What the client believes of label i; undefined: i. */
  readonly relabelled: readonly number[] | undefined;
}

export interface ThreadStart {
  readonly kind: "start";
  readonly table: FeatureTable;
  readonly manifest: ModelManifest;
}

export interface ThreadWork {
  readonly kind: "train" | "evaluate";
  readonly id: number;
  readonly rows: SentRows;
  /** Undefined: those of the request before, which a cohort shares. */
  readonly instructions: PlanInstructions | undefined;
  readonly start: StateDict;
  readonly baseDeltas: readonly BaseDelta[] | undefined;
  readonly rest: Pick<TrainRequest, "round" | "streamKey" | "optimizerState" | "isNewcomer"> | undefined;
  /** 32 bytes, from which all that is random in a private plan follows; undefined: it is not private. */
  readonly secret: Uint8Array | undefined;
}

export interface ThreadQuestion {
  readonly kind: "held";
  readonly id: number;
  readonly ids: readonly string[];
}

export type ThreadRequest = ThreadStart | ThreadWork | ThreadQuestion;

export type ThreadAnswer =
  | { readonly kind: "ready"; readonly engine: EngineIdentity }
  | { readonly kind: "done"; readonly id: number; readonly result: TrainResult | EvaluationCounts | number }
  | { readonly kind: "failed"; readonly id: number; readonly code: string; readonly message: string };
