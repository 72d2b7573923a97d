import type { FedLoraError } from "@fedlora/core";

import type { RunDetail, RunSummary } from "../service.js";
import type { RunMachineState } from "./run-state.js";
import { toRunDetail } from "./run-views.js";

/**
 * A run that this build cannot work on: it lacks the method, or no longer accepts the spec, or the model is gone. Its state and
 * blobs stay as they are for a build that can; nothing of this is journaled.
 */
export interface UnavailableRun {
  readonly state: RunMachineState;
  readonly error: FedLoraError;
}

/** A running one shows as failed while this build is at it; one that ended stays what it was. */
export function unavailableDetail({ state, error }: UnavailableRun): RunDetail {
  const why = `${error.code}: ${error.message}`;
  const detail = toRunDetail(
    state,
    state.reason === "" || state.status === "running" ? why : `${state.reason}; ${why}`,
  );
  if (state.status !== "running") return detail;
  const summary: RunSummary = { ...detail.summary, state: "failed", phase: "failed" };
  return { ...detail, summary };
}
