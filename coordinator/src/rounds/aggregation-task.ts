import type { BlobId } from "@fedlora/core";

import type { AggregationOutcome } from "../aggregate/aggregation.js";
import { withBlobFiles } from "./blob-files.js";
import { decideCommit, decideFailure } from "./decide-round.js";
import { encodeMethodState } from "./method-state-file.js";
import { loadMethodState } from "./plan-factory.js";
import type { RunDriver } from "./run-driver.js";
import type { RunCommand } from "./run-reducer.js";
import { acceptedPlans } from "./run-state.js";

/**
 * Folds the round's accepted updates into the next global adapter and commits it. It may be cut off anywhere and done again: the
 * same updates give the same bytes, and nothing counts before the commit is in the journal.
 */
export async function runAggregation(driver: RunDriver, command: RunCommand, signal: AbortSignal): Promise<void> {
  const { keeper, clock } = driver.parts;
  const outcome = await aggregate(driver, signal);
  signal.throwIfAborted();
  if (outcome.kind === "refused") {
    await driver.commit((state) => decideFailure(state, outcome.code, outcome.message, clock.now()));
    return;
  }
  const adapter = await keeper.put(outcome.global);
  try {
    const methodState = await keeper.put(encodeMethodState(outcome.state));
    try {
      const baseVersion = outcome.baseDelta?.toVersion ?? driver.state.baseVersion;
      const result = { adapter, methodState, baseVersion, methodMetrics: outcome.metrics, ...driver.meter.total() };
      await driver.commit((state) => decideCommit(state, command, result, clock.now()));
    } finally {
      keeper.unpin([methodState.id]);
    }
  } finally {
    keeper.unpin([adapter.id]);
  }
}

async function aggregate(driver: RunDriver, signal: AbortSignal): Promise<AggregationOutcome> {
  const { aggregation, blobs } = driver.parts;
  const { state, context } = driver;
  const accepted = acceptedPlans(state);
  driver.note = `${state.reason === "" ? "" : `${state.reason}; `}aggregating ${accepted.length} updates`;
  const ids = accepted.map(({ acceptance }) => acceptance.blobId).filter((id): id is BlobId => id !== "");
  const methodState = await loadMethodState(blobs, context, state);
  return withBlobFiles(blobs, [state.adapter.id, ...ids], (pathOf) =>
    aggregation.run(
      {
        spec: context.spec,
        adapterLayout: context.layout,
        scalings: context.scalings,
        round: state.round,
        phase: state.methodPhase,
        state: methodState,
        global: { blobId: state.adapter.id, path: pathOf(state.adapter.id) },
        baseVersion: state.baseVersion,
        updates: accepted.map(({ planId, clientId, acceptance }) => ({
          id: planId,
          clientId,
          blobId: acceptance.blobId as BlobId,
          path: pathOf(acceptance.blobId as BlobId),
          weight: acceptance.weight,
          numExamples: acceptance.metrics.numExamples,
        })),
      },
      signal,
    ),
  );
}
