import { FedLoraError } from "@fedlora/core";

import { reduceEvaluation } from "./reduce-evaluation.js";
import { createRunState, reduceLifecycle } from "./reduce-lifecycle.js";
import { reduceTraining } from "./reduce-training.js";
import type { SequencedRunEvent } from "./run-events.js";
import type { RunMachineState } from "./run-state.js";

/** Something that has to go on while the run is in its present state; the driver starts it and stops it when it is over. */
export interface RunCommand {
  readonly kind: "select-cohort" | "await-updates" | "aggregate" | "start-evaluation" | "await-evaluations";
  readonly round: number;
  readonly attempt: number;
}

/**
 * The run's state machine: pure, no clock, no I/O, no randomness; time and chance come in as fields of events. `commands` are
 * those that the event made due. The first event of a run is `run-created`, with the state undefined.
 */
export function reduce(
  state: RunMachineState | undefined,
  event: SequencedRunEvent,
): { readonly state: RunMachineState; readonly commands: readonly RunCommand[] } {
  const next = { ...apply(state, event), sequence: event.sequence };
  const before = state === undefined ? undefined : commandKey(pendingCommand(state));
  const command = pendingCommand(next);
  const isNew = command !== undefined && commandKey(command) !== before;
  return { state: next, commands: isNew ? [command] : [] };
}

/** What has to go on in a state: after a restart the same as if the process had never ended. */
export function pendingCommand(state: RunMachineState): RunCommand | undefined {
  if (state.status !== "running") return undefined;
  const { round, attempt } = state;
  switch (state.phase) {
    case "selecting":
      return { kind: "select-cohort", round, attempt };
    case "training":
      return { kind: "await-updates", round, attempt };
    case "aggregating":
      return { kind: "aggregate", round, attempt };
    case "committed":
      return { kind: "start-evaluation", round, attempt };
    case "evaluating":
      return { kind: "await-evaluations", round, attempt };
    case "configuring":
    case "unmasking":
    case "failed":
      return undefined;
  }
}

export function commandKey(command: RunCommand | undefined): string {
  return command === undefined ? "" : `${command.kind}:${command.round}:${command.attempt}`;
}

function apply(state: RunMachineState | undefined, event: SequencedRunEvent): RunMachineState {
  if (event.type === "run-created") return createRunState(event);
  if (state === undefined) {
    throw new FedLoraError("journal-corrupt", `run ${event.runId} begins with "${event.type}" at ${event.sequence}`);
  }
  switch (event.type) {
    case "round-started":
    case "slot-refilled":
    case "plan-declined":
    case "client-dropped":
    case "client-returned":
    case "update-accepted":
    case "update-refused":
    case "round-closed":
    case "noise-key-drawn":
      return reduceTraining(state, event);
    case "round-committed":
    case "evaluation-started":
    case "evaluation-accepted":
    case "round-evaluated":
      return reduceEvaluation(state, event);
    case "run-stopped":
    case "run-resumed":
    case "run-completed":
    case "run-failed":
      return reduceLifecycle(state, event);
  }
}
