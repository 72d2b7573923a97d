import {
  FedLoraError,
  readSafetensors,
  type BlobId,
  type PlanInstructions,
  type RoundPlan,
  type StateDict,
} from "@fedlora/core";
import type { BaseDelta } from "../models/base-delta/base-delta.js";
import { assertPrivacySound } from "../privacy/check-plan.js";
import { assertPrivacyAllowed, releasedEvents } from "../privacy/owner-privacy.js";
import { downloadBlob, downloadFile } from "../transfer/downloader.js";
import { type BaseChain, findBaseDeltas, joinBaseChain } from "./base-chain.js";
import type { BlobReference } from "../transport/transport.js";
import type { ClientContext } from "./client-context.js";
import { decodeDownload } from "./decode-download.js";
import { assertSupported, uploadTensorBytes } from "./instructions.js";
import { isAbandoned, isFatal, PlanDeclined } from "./plan-errors.js";
import { policyRefusal, uploadRefusal } from "./policy.js";
import { instructionsOf } from "./recent-instructions.js";
import { assembleStart } from "./start-tensors.js";

export interface PreparedPlan {
  readonly instructions: PlanInstructions;
  readonly start: StateDict;
  readonly baseDeltas: readonly BaseDelta[];
}

/**
 * Holds a plan against the owner's policy and this client's abilities, downloads what it names and assembles the tensors
 * to start from. Throws `PlanDeclined`, or what the protocol threw.
 */
export async function preparePlan(
  plan: RoundPlan,
  sizes: Readonly<Record<BlobId, number>>,
  context: ClientContext,
  signal: AbortSignal,
): Promise<PreparedPlan> {
  try {
    const baseChain = joinBaseChain(await context.state.baseChains.load(plan.runId), plan, sizes);
    await assertAllowed(plan, sizes, baseChain, context);
    const fetch = blobFetcher(sizes, context, signal);
    const instructions = instructionsOf(plan.instructions, await fetch.blob(plan.instructions));
    assertSupported(instructions);
    assertPrivacySound(instructions, plan.kind);
    assertPrivacyWithin(instructions, plan, context);
    assertUploadSize(instructions, plan, context);
    const global = decodeDownload(instructions, readSafetensors(await fetch.blob(plan.globalAdapter)).tensors);
    const frozen: StateDict[] = [];
    for (const id of plan.frozen) frozen.push(readSafetensors(await fetch.blob(id)).tensors);
    const baseDeltas = await findBaseDeltas(baseChain, context.trainer, (blob) => fetch.file(blob));
    if (baseChain.length > 0) await context.state.baseChains.save(plan.runId, baseChain);
    context.emit({ type: "downloaded", bytes: fetch.fetchedBytes(), cachedBytes: fetch.cachedBytes() });
    const kept = await context.state.runs.kept(plan.runId, plan.round, instructions);
    const start = assembleStart(instructions, { global, frozen, kept });
    // What a sketch starts from is random, and no adapter.
    if (instructions.updateForm !== "sketch") {
      await context.state.adapters.save({ runId: plan.runId, instructions, tensors: start, baseChain });
    }
    return { instructions, start, baseDeltas };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof FedLoraError) || isAbandoned(error) || isFatal(error)) throw error;
    // What the owner's data has cost elsewhere is none of this coordinator's business.
    throw error.code === "privacy-budget" ? PlanDeclined.discreetly(error) : PlanDeclined.openly(error);
  }
}

function assertPrivacyWithin(
  instructions: PlanInstructions,
  { kind }: RoundPlan,
  { policy, state, data }: ClientContext,
): void {
  if (policy.privacy === undefined) return;
  const release = releasedEvents(instructions, kind);
  const mode = instructions.privacy?.mode ?? "none";
  assertPrivacyAllowed(policy.privacy, mode, state.ledger.events(data.name), release);
}

async function assertAllowed(
  plan: RoundPlan,
  sizes: Readonly<Record<BlobId, number>>,
  baseChain: BaseChain,
  { baseModelHash, policy, trainer, clock }: ClientContext,
): Promise<void> {
  if (plan.baseModelHash !== baseModelHash) {
    throw new FedLoraError(
      "model-hash-mismatch",
      `the plan trains base model ${plan.baseModelHash}, this client holds ${baseModelHash}`,
    );
  }
  const merged = (await trainer.heldBaseDeltas?.(baseChain.map(({ blob }) => blob))) ?? 0;
  const mergedIds = new Set(baseChain.slice(0, merged).map(({ blob }) => blob));
  const sumOf = (ids: Iterable<BlobId>): number => [...ids].reduce((sum, id) => sum + (sizes[id] ?? 0), 0);
  const now = new Date(clock.now());
  const refusal = policyRefusal(policy, plan, {
    ownBaseModel: baseModelHash,
    localHour: now.getHours() + now.getMinutes() / 60,
    downloadBytes: sumOf(Object.keys(sizes) as BlobId[]),
    mergedBytes: sumOf(mergedIds),
  });
  if (refusal !== undefined) throw new FedLoraError("policy-declined", refusal);
  const answer = (await policy.canTrain?.(plan)) ?? true;
  if (answer !== true) {
    throw new FedLoraError("policy-declined", answer === false ? "the owner does not allow training now" : answer);
  }
}

/** What the layout asks for is what will be sent, whatever the envelope says. */
function assertUploadSize(instructions: PlanInstructions, plan: RoundPlan, { policy }: ClientContext): void {
  const bytes = Math.max(plan.uploadBytes, uploadTensorBytes(instructions));
  const refusal = uploadRefusal(policy, bytes);
  if (refusal !== undefined) throw new FedLoraError("policy-declined", refusal);
}

interface BlobFetcher {
  blob(id: BlobId): Promise<Uint8Array>;
  /** Path of a blob that is left on disk. */
  file(blob: BlobReference): Promise<string>;
  fetchedBytes(): number;
  cachedBytes(): number;
}

function blobFetcher(
  sizes: Readonly<Record<BlobId, number>>,
  { connection, state }: ClientContext,
  signal: AbortSignal,
): BlobFetcher {
  let fetched = 0;
  let cached = 0;
  return {
    blob: async (id) => {
      const size = sizes[id];
      if (size === undefined)
        throw new FedLoraError("request-invalid", `the plan does not say how large blob ${id} is`);
      const { bytes, fetchedBytes } = await downloadBlob({ id, size }, connection, state.cache, signal);
      fetched += fetchedBytes;
      cached += size - fetchedBytes;
      return bytes;
    },
    file: async (blob) => {
      const { path, fetchedBytes } = await downloadFile(blob, connection, state.cache, signal);
      fetched += fetchedBytes;
      cached += blob.size - fetchedBytes;
      return path;
    },
    fetchedBytes: () => fetched,
    cachedBytes: () => Math.max(0, cached),
  };
}
