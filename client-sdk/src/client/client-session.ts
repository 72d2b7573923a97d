import {
  FedLoraError,
  isControlTensor,
  parsePlanInstructions,
  readSafetensors,
  type PlanInstructions,
  type RunId,
} from "@fedlora/core";
import { downloadBlob, downloadFile } from "../transfer/downloader.js";
import { Backoff, type RetryDependencies } from "../transport/retry.js";
import type { BlobReference, PollAnswer } from "../transport/transport.js";
import { findBaseDeltas, versionOf } from "./base-chain.js";
import type { ClientContext } from "./client-context.js";
import { deliverFinished } from "./delivery.js";
import { workOnPlan } from "./plan-runner.js";
import { assembleStart } from "./start-tensors.js";

/** Shortest pause that a coordinator may ask for, so that a wrong zero does not become a tight loop. */
const minWaitMs = 100;

type EndedAnswer = Extract<PollAnswer, { kind: "ended" }> & {
  /** The changes to the base weights that the final adapter counts on, from version 0; absent: the run made none. */
  readonly baseDeltas?: readonly {
    readonly fromVersion: number;
    readonly toVersion: number;
    readonly blob: BlobReference;
  }[];
};

export interface SessionParts {
  readonly context: ClientContext;
  /** Resolves when another plan may be taken; rejects with the signal's reason. */
  readonly hasRoom: (signal: AbortSignal) => Promise<void>;
  readonly runId: RunId | undefined;
  readonly retry: RetryDependencies;
}

/** Enrols, delivers what an earlier start left finished, then polls and works until the run ends. */
export async function runSession({ context, hasRoom, runId, retry }: SessionParts, signal: AbortSignal): Promise<void> {
  const { connection, state, baseModelHash, capability, clock, emit } = context;
  // Plans that came to nothing, in a row: whatever the reason, the coordinator must not be asked in a tight loop.
  const idle = new Backoff({ ...retry, policy: { ...retry.policy, maxAttempts: undefined }, onRetry: () => undefined });
  await connection.enrol(signal);
  if (state.journal.finished !== undefined) await deliverFinished(state.journal.finished, context, signal);
  for (;;) {
    await hasRoom(signal);
    const answer = await connection.call((transport) => {
      const { pollWaitMs } = connection.enrolment;
      const request = { waitMs: pollWaitMs, runId, baseModelHashes: [baseModelHash], capability: capability.report() };
      return transport.poll(request, signal);
    }, signal);
    switch (answer.kind) {
      case "plan":
        if (await workOnPlan(answer.plan, answer.refs, context, signal)) idle.reset();
        else await idle.wait(new FedLoraError("unavailable", "the last plan came to nothing"), signal);
        break;
      case "wait":
        emit({ type: "waiting", reason: answer.reason, retryAfterMs: answer.retryAfterMs });
        await clock.sleep(Math.max(minWaitMs, answer.retryAfterMs), signal);
        break;
      case "ended":
        await keepFinalAdapter(answer, context, signal);
        emit({ type: "ended", runId: answer.runId, state: answer.state });
        return;
    }
  }
}

/** The result stays on this machine for `client.model()`; a coordinator that no longer has it is no reason to fail. */
async function keepFinalAdapter(answer: EndedAnswer, context: ClientContext, signal: AbortSignal): Promise<void> {
  const { globalAdapter, instructions, runId } = answer;
  if (globalAdapter === undefined || instructions === undefined) return;
  const { connection, state, trainer, logger } = context;
  try {
    const parsed = parsePlanInstructions((await downloadBlob(instructions, connection, state.cache, signal)).bytes);
    const global = readSafetensors((await downloadBlob(globalAdapter, connection, state.cache, signal)).bytes).tensors;
    // Tensors that never travel in the download are those of the latest round.
    const latest = await state.adapters.load();
    const ours = latest?.runId === runId ? latest : undefined;
    const frozen = ours === undefined ? [] : [ours.tensors];
    const baseChain = (answer.baseDeltas ?? []).map(({ blob: { id, size }, ...link }) => ({ ...link, blob: id, size }));
    if (versionOf(baseChain) < versionOf(ours?.baseChain ?? [])) {
      throw new FedLoraError("request-invalid", "the final adapter came without the base weights that it counts on");
    }
    // Fetched now, so that the model works without the coordinator.
    await findBaseDeltas(baseChain, trainer, async (ref) => {
      return (await downloadFile(ref, connection, state.cache, signal)).path;
    });
    const kept = (await state.runs.trained(runId)).tensors;
    await state.adapters.save({
      runId,
      instructions: parsed,
      // The result is the adapter alone.
      tensors: assembleStart(withoutControls(parsed), { global, frozen, kept }),
      baseChain,
    });
  } catch (error) {
    signal.throwIfAborted();
    logger.warn({ err: error, runId }, "the final adapter could not be fetched; the latest one stays in use");
  }
}

function withoutControls(instructions: PlanInstructions): PlanInstructions {
  return { ...instructions, roles: instructions.roles.filter(({ spec }) => !isControlTensor(spec.name)) };
}
