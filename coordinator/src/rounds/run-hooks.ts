import type { CoordinatorHooks } from "./coordinator-options.js";
import type { RunEvent } from "./run-events.js";
import type { RunMachineState } from "./run-state.js";
import { toRoundSummary } from "./run-views.js";

/** Tells the metrics what became durable. */
export function reportToHooks(hooks: CoordinatorHooks, state: RunMachineState, events: readonly RunEvent[]): void {
  const { runId } = state;
  const summaryOf = (round: number): ReturnType<typeof toRoundSummary> | undefined => {
    const record = state.rounds.find((each) => each.round === round);
    return record === undefined ? undefined : toRoundSummary(record);
  };
  for (const event of events) {
    switch (event.type) {
      case "round-started":
        hooks.onRoundStarted?.(runId, event.round, event.plans.length);
        reportPrivacy(hooks, state, event.reservedEpsilon);
        break;
      case "round-closed":
        hooks.onRoundClosed?.(runId, event.round);
        break;
      case "update-accepted":
        hooks.onUpdateAccepted?.(runId, event.bytes);
        break;
      case "plan-declined":
        hooks.onPlanDeclined?.(runId, event.code);
        break;
      case "client-dropped":
        hooks.onClientDropped?.(runId);
        break;
      case "round-committed": {
        reportPrivacy(hooks, state, event.privacy?.epsilon);
        const summary = summaryOf(event.round);
        if (summary !== undefined) hooks.onRoundCommitted?.(runId, summary);
        break;
      }
      case "round-evaluated": {
        const summary = summaryOf(event.round);
        if (summary !== undefined) hooks.onRoundEvaluated?.(runId, summary);
        break;
      }
      case "run-stopped":
      case "run-resumed":
      case "run-completed":
      case "run-failed":
        hooks.onRunState?.(runId, state.status);
        break;
      case "run-created":
      case "slot-refilled":
      case "client-returned":
      case "update-refused":
      case "noise-key-drawn":
      case "evaluation-accepted":
        break;
      case "evaluation-started":
        reportPrivacy(hooks, state, event.reservedEpsilon);
        break;
    }
  }
}

function reportPrivacy(hooks: CoordinatorHooks, state: RunMachineState, epsilonSpent: number | undefined): void {
  const { spec, privacy, runId } = state;
  if (spec.privacy.mode === "none" || privacy === null || epsilonSpent === undefined) return;
  const { noiseMultiplier, clipNorm } = privacy;
  hooks.onPrivacy?.(runId, { epsilonSpent, epsilonBudget: spec.privacy.epsilon, noiseMultiplier, clipNorm });
}
