import { createRunPrivacy } from "../privacy/run-privacy.js";
import { retirePlans } from "./reduce-plans.js";
import { selectNext } from "./reduce-evaluation.js";
import type { RunEventOf } from "./run-events.js";
import { completeSpec, maxWriteKeys } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";

type LifecycleEvent = RunEventOf<"run-stopped" | "run-resumed" | "run-completed" | "run-failed">;

export function createRunState(event: RunEventOf<"run-created">): RunMachineState {
  const created: RunMachineState = {
    runId: event.runId,
    spec: completeSpec(event.spec),
    createdMs: event.atMs,
    createKey: event.idempotencyKey,
    status: "running",
    phase: "selecting",
    reason: "",
    round: 1,
    attempt: 1,
    deadlineAtMs: null,
    phaseSinceMs: event.atMs,
    roundStartedMs: event.atMs,
    methodPhase: "",
    wanted: 0,
    closeReason: null,
    plans: {},
    carried: {},
    pastPlans: {},
    initialAdapter: event.adapter,
    adapter: event.adapter,
    methodState: null,
    baseVersion: event.baseDelta?.toVersion ?? 0,
    baseDeltas: event.baseDelta === undefined ? [] : [event.baseDelta],
    joinedBase: null,
    bestBaseDeltas: [],
    rounds: [],
    bestRound: 0,
    participants: {},
    capacities: {},
    privacy: createRunPrivacy(completeSpec(event.spec), event.privacy),
    writeKeys: [],
    sequence: event.sequence,
  };
  return selectNext(created, event.atMs);
}

/** The ends of a run, and its return from two of them. */
export function reduceLifecycle(state: RunMachineState, event: LifecycleEvent): RunMachineState {
  switch (event.type) {
    case "run-stopped":
      return {
        ...end(state, event.atMs, event.reason === "" ? "stopped" : event.reason),
        status: "stopped",
        writeKeys: withKey(state, event.idempotencyKey),
      };
    case "run-failed":
      return { ...end(state, event.atMs, event.message), status: "failed", phase: "failed" };
    case "run-completed": {
      const reason = event.reason === "target" ? `round ${event.round} reached the target` : (event.message ?? "");
      return { ...end(state, event.atMs, reason), status: "completed", phase: "committed" };
    }
    case "run-resumed":
      return selectNext(
        {
          ...state,
          status: "running",
          attempt: state.attempt + 1,
          writeKeys: withKey(state, event.idempotencyKey),
        },
        event.atMs,
      );
  }
}

function end(state: RunMachineState, atMs: number, reason: string): RunMachineState {
  const all = { ...state, plans: { ...state.plans, ...state.carried }, carried: {} };
  // A reservation that was not settled stays spent: nobody can tell what became of what it was for.
  const privacy = state.privacy === null ? null : { ...state.privacy, noiseKey: null };
  return { ...retirePlans(all), privacy, deadlineAtMs: null, phaseSinceMs: atMs, reason };
}

function withKey(state: RunMachineState, key: string): readonly string[] {
  return [...state.writeKeys, key].slice(-maxWriteKeys);
}
