import { FedLoraError } from "@fedlora/core";
import type { RunId } from "@fedlora/core";

import type { Journal, Snapshot } from "../storage/storage.js";
import { lastCommitOf, parseLastCommit, reopenRun } from "./last-commit.js";
import type { LastCommit } from "./last-commit.js";
import { emptyRegistry, isRegistryEvent, parseRegistrySnapshot, reduceRegistry } from "./registry-state.js";
import type { RegistryState } from "./registry-state.js";
import type { SequencedRunEvent } from "./run-events.js";
import { reduce } from "./run-reducer.js";
import { reducerVersion } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";

export const registrySnapshotName = "registry";
export const runSnapshotName = (runId: RunId): string => `run-${runId}`;

export interface Recovered {
  readonly registry: RegistryState;
  readonly runs: ReadonlyMap<RunId, RunMachineState>;
  /** Sequence that each run's snapshot covers; 0 without one that this build can use again. */
  readonly savedSequences: ReadonlyMap<RunId, number>;
  /**
   * Runs that another reducer's snapshot was of: they are back at their last commit. Their snapshots have to be written anew before
   * anything is journaled, or the next start would go back once more.
   */
  readonly reopened: ReadonlySet<RunId>;
  /** Sequence of the last event that is in these states. */
  readonly sequence: number;
}

/** A run's snapshot: its state for the reducer that made it, and what any other reducer can begin from. */
interface RunSnapshotValue {
  readonly state: RunMachineState;
  readonly lastCommit: LastCommit;
}

export function runSnapshot(state: RunMachineState): Snapshot {
  const value: RunSnapshotValue = { state, lastCommit: lastCommitOf(state) };
  return { sequence: state.sequence, reducerVersion, value };
}

/**
 * The states as the journal tells them: snapshots, then the events after them. A run whose snapshot another reducer wrote goes back to
 * its last commit; one whose snapshot tells not even that is replayed from its first event. `nowMs` is when waits of reopened
 * runs begin. Throws `journal-corrupt`.
 */
export async function recoverStates(journal: Journal, nowMs: number): Promise<Recovered> {
  const runs = new Map<RunId, RunMachineState>();
  const savedSequences = new Map<RunId, number>();
  const reopened = new Set<RunId>();
  const snapshot = await journal.readSnapshot(registrySnapshotName);
  const saved = snapshot === undefined ? undefined : parseRegistrySnapshot(snapshot.value);
  let registry = saved?.registry ?? emptyRegistry;
  const registrySequence = saved === undefined ? 0 : (snapshot?.sequence ?? 0);
  if (registrySequence > journal.sequence) {
    const message = `a snapshot is at ${registrySequence}, the journal ends at ${journal.sequence}`;
    throw new FedLoraError("journal-corrupt", message);
  }
  let after = registrySequence;
  for (const runId of saved?.runs ?? []) {
    const own = await journal.readSnapshot(runSnapshotName(runId));
    if (own === undefined) throw new FedLoraError("journal-corrupt", `the snapshot of run ${runId} is missing`);
    const { state, lastCommit } = own.value as Partial<RunSnapshotValue>;
    if (own.reducerVersion === reducerVersion && state !== undefined) {
      runs.set(runId, state);
      savedSequences.set(runId, own.sequence);
      continue;
    }
    const commit = parseLastCommit(lastCommit);
    if (commit === undefined) {
      after = 0;
      continue;
    }
    runs.set(runId, reopenRun(commit, own.sequence, nowMs));
    reopened.add(runId);
  }
  for await (const { sequence, event } of journal.read(after)) {
    if (isRegistryEvent(event)) {
      if (sequence > registrySequence) registry = reduceRegistry(registry, event);
      continue;
    }
    const runEvent = { ...event, sequence } as unknown as SequencedRunEvent;
    const state = runs.get(runEvent.runId);
    // A run's snapshot may be younger than the registry's.
    if (state === undefined || state.sequence < sequence) runs.set(runEvent.runId, reduce(state, runEvent).state);
  }
  // Facts after the snapshot count, a commit above all; of the round that they leave unfinished some are missing.
  for (const runId of reopened) {
    const state = runs.get(runId);
    if (state !== undefined) runs.set(runId, reopenRun(lastCommitOf(state), state.sequence, nowMs));
  }
  return { registry, runs, savedSequences, reopened, sequence: journal.sequence };
}
