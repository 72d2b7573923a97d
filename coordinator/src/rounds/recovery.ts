import { FedLoraError } from "@fedlora/core";
import type { RunId } from "@fedlora/core";

import type { Journal } from "../storage/storage.js";
import { emptyRegistry, isRegistryEvent, reduceRegistry } from "./registry-state.js";
import type { RegistrySnapshot, RegistryState } from "./registry-state.js";
import type { SequencedRunEvent } from "./run-events.js";
import { reduce } from "./run-reducer.js";
import { reducerVersion } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";

export const registrySnapshotName = "registry";
export const runSnapshotName = (runId: RunId): string => `run-${runId}`;

export interface Recovered {
  readonly registry: RegistryState;
  readonly runs: ReadonlyMap<RunId, RunMachineState>;
  /** Sequence that each run's snapshot covers; 0 without one. */
  readonly savedSequences: ReadonlyMap<RunId, number>;
  /** Sequence of the last event that is in these states. */
  readonly sequence: number;
}

/**
 * The states as the journal tells them: snapshots, then the events after them. Snapshots of another reducer version are passed over in
 * favour of a full replay. Throws `journal-corrupt`.
 */
export async function recoverStates(journal: Journal): Promise<Recovered> {
  let registry = emptyRegistry;
  let after = 0;
  const runs = new Map<RunId, RunMachineState>();
  const savedSequences = new Map<RunId, number>();
  const snapshot = await journal.readSnapshot(registrySnapshotName);
  if (snapshot?.reducerVersion === reducerVersion) {
    const value = snapshot.value as RegistrySnapshot;
    ({ registry } = value);
    after = snapshot.sequence;
    for (const runId of value.runs) {
      const state = (await journal.readSnapshot(runSnapshotName(runId)))?.value as RunMachineState | undefined;
      if (state === undefined) throw new FedLoraError("journal-corrupt", `the snapshot of run ${runId} is missing`);
      runs.set(runId, state);
      savedSequences.set(runId, state.sequence);
    }
  }
  if (after > journal.sequence) {
    throw new FedLoraError("journal-corrupt", `a snapshot is at ${after}, the journal ends at ${journal.sequence}`);
  }
  for await (const { sequence, event } of journal.read(after)) {
    if (isRegistryEvent(event)) {
      registry = reduceRegistry(registry, event);
      continue;
    }
    const runEvent = { ...event, sequence } as unknown as SequencedRunEvent;
    const state = runs.get(runEvent.runId);
    // A run's snapshot may be younger than the registry's.
    if (state === undefined || state.sequence < sequence) runs.set(runEvent.runId, reduce(state, runEvent).state);
  }
  return { registry, runs, savedSequences, sequence: journal.sequence };
}
