import type { BlobId, Clock } from "@fedlora/core";
import { rm } from "node:fs/promises";

import type { AggregationOutcome, BlobFile, UpdateFile } from "../aggregate/aggregation.js";
import { learnCosts } from "../privacy/pay.js";
import { releaseTerms, roundPrivacy } from "../privacy/release-terms.js";
import { linksToJoin } from "./base-chain.js";
import { withBlobFiles } from "./blob-files.js";
import { decideCommit, decideFailure } from "./decide-round.js";
import { encodeMethodState } from "./method-state-file.js";
import { loadMethodState } from "./plan-factory.js";
import type { RunDriver } from "./run-driver.js";
import type { BlobRef } from "./run-events.js";
import type { RunCommand } from "./run-reducer.js";
import { acceptedPlans } from "./run-state.js";
import { readUpdateForm } from "./update-form.js";
import type { UpdateForm } from "./update-form.js";

/**
 * Folds the round's accepted updates into the next global adapter and commits it. It may be cut off anywhere and done again: the
 * same updates give the same bytes, and nothing counts before the commit is in the journal.
 */
export async function runAggregation(driver: RunDriver, command: RunCommand, signal: AbortSignal): Promise<void> {
  const { clock, blobs } = driver.parts;
  const { aggregationMs } = driver.context.spec.deadlines;
  const files = { deltaPath: blobs.scratchPath(), joinPath: blobs.scratchPath() };
  try {
    const outcome = await withinTime(clock, aggregationMs, signal, (limited) =>
      aggregate(driver, command, files, limited),
    );
    await learnCosts(driver);
    signal.throwIfAborted();
    if (outcome.kind === "refused") {
      await driver.commit((state) => decideFailure(state, outcome.code, outcome.message, clock.now()));
    } else {
      await commitOutcome(driver, command, outcome, files);
    }
  } finally {
    for (const path of Object.values(files)) await rm(path, { force: true });
  }
}

/** Refused when the time is up: a run that cannot be aggregated must not wait for ever, nor be tried again for ever. */
async function withinTime(
  clock: Clock,
  limitMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<AggregationOutcome>,
): Promise<AggregationOutcome> {
  const timer = new AbortController();
  const limit = new AbortController();
  const timeout = clock.sleep(limitMs, timer.signal).then(
    () => limit.abort(),
    () => undefined,
  );
  try {
    return await work(AbortSignal.any([signal, limit.signal]));
  } catch (thrown) {
    if (!limit.signal.aborted || signal.aborted) throw thrown;
    const message = `the aggregation took longer than deadlines.aggregationMs, ${limitMs} ms`;
    return { kind: "refused", code: "round-failed", message };
  } finally {
    timer.abort();
    await timeout;
  }
}

/** Where an aggregation leaves what may not fit into memory. */
interface ScratchFiles {
  readonly deltaPath: string;
  readonly joinPath: string;
}

type NewAdapter = Extract<AggregationOutcome, { kind: "adapter" }>;

async function commitOutcome(
  driver: RunDriver,
  command: RunCommand,
  { global, state: methodState, baseDelta, metrics, unclippedShare }: NewAdapter,
  { deltaPath, joinPath }: ScratchFiles,
): Promise<void> {
  const { keeper, clock } = driver.parts;
  const toVersion = linksToJoin(driver.state)?.at(-1)?.toVersion;
  const pinned: BlobRef[] = [];
  const pin = async (stored: Promise<BlobRef>): Promise<BlobRef> => {
    pinned.push(await stored);
    return stored;
  };
  try {
    const result = {
      adapter: await pin(keeper.put(global)),
      methodState: await pin(keeper.put(encodeMethodState(methodState))),
      baseVersion: baseDelta?.toVersion ?? driver.state.baseVersion,
      ...(baseDelta === undefined ? {} : { baseDelta: { ...baseDelta, blob: await pin(keeper.putFile(deltaPath)) } }),
      ...(toVersion === undefined
        ? {}
        : { joinedBase: { fromVersion: 0, toVersion, blob: await pin(keeper.putFile(joinPath)) } }),
      methodMetrics: metrics,
      ...driver.meter.total(),
      ...roundPrivacy(driver, unclippedShare),
    };
    await driver.commit((state) => decideCommit(state, command, result, clock.now()));
  } finally {
    keeper.unpin(pinned.map(({ id }) => id));
  }
}

async function aggregate(
  driver: RunDriver,
  command: RunCommand,
  { deltaPath, joinPath }: ScratchFiles,
  signal: AbortSignal,
): Promise<AggregationOutcome> {
  const { aggregation, blobs } = driver.parts;
  const { state, context } = driver;
  const accepted = acceptedPlans(state);
  driver.note = `${state.reason === "" ? "" : `${state.reason}; `}aggregating ${accepted.length} updates`;
  const ids = accepted.map(({ acceptance }) => acceptance.blobId).filter((id): id is BlobId => id !== "");
  const methodState = await loadMethodState(blobs, context, state);
  const forms = await readForms(driver, accepted);
  const { instruction, rule } = driver.plans.forAnyone(methodState, state.methodPhase);
  const release = await releaseTerms(driver, command, instruction);
  const links = linksToJoin(state)?.map(({ blob }) => blob.id);
  const inMemory = (id: BlobId): Uint8Array | undefined => blobs.bytes?.(id);
  const filed = [state.adapter.id, ...ids].filter((id) => inMemory(id) === undefined);
  return withBlobFiles(blobs, [...filed, ...(links ?? [])], (pathOf) => {
    const blobOf = (blobId: BlobId): BlobFile => {
      const bytes = inMemory(blobId);
      return bytes === undefined ? { blobId, path: pathOf(blobId) } : { blobId, path: blobId, bytes };
    };
    return aggregation.run(
      {
        spec: context.spec,
        adapterLayout: context.layout,
        scalings: context.scalings,
        round: state.round,
        phase: state.methodPhase,
        state: methodState,
        global: blobOf(state.adapter.id),
        baseVersion: state.baseVersion,
        deltaPath,
        join: links && { path: joinPath, deltas: links.map((blobId) => ({ blobId, path: pathOf(blobId) })) },
        release,
        updates: accepted.map(({ planId, clientId, round, instructions, acceptance }): UpdateFile => {
          const { values = [], codec = "f32" } = forms.get(instructions.id) ?? {};
          const staleness = state.round - round;
          const { numExamples, numSteps, receivedLoss } = acceptance.metrics;
          return {
            id: planId,
            clientId,
            ...blobOf(acceptance.blobId as BlobId),
            layout: values,
            codec,
            weight: staleness === 0 ? acceptance.weight : acceptance.weight * rule.staleWeight(staleness),
            fullWeight: acceptance.weight,
            numExamples,
            numSteps,
            staleness,
            receivedLoss,
          };
        }),
      },
      signal,
    );
  });
}

/** Updates of plans with the same instructions share one form. */
async function readForms(
  { parts }: RunDriver,
  plans: readonly { readonly instructions: BlobRef }[],
): Promise<ReadonlyMap<BlobId, UpdateForm>> {
  const forms = new Map<BlobId, UpdateForm>();
  for (const { instructions } of plans) {
    if (!forms.has(instructions.id)) forms.set(instructions.id, await readUpdateForm(parts.blobs, instructions));
  }
  return forms;
}
