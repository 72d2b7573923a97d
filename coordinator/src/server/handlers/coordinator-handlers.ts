import { supportedDirectives, type BlobId, type RoundPlan } from "@fedlora/core";
import {
  blobRangeFromWire,
  commitFromWire,
  declineFromWire,
  enrolAnswerToWire,
  enrolmentFromWire,
  planToWire,
  pollAnswerToWire,
  pollFromWire,
  protocolVersion,
  receiptToWire,
  reportAnswerToWire,
  reportFromWire,
  uploadChunkFromWire,
  uploadStartFromWire,
  uploadStateToWire,
  type BlobSizes,
  type CoordinatorHandlers,
  type Signer,
  type UploadChunk,
} from "@fedlora/proto";
import { sendBlob } from "../../intake/blob-sender.js";
import type { Intake } from "../../intake/intake.js";
import type { ClientService } from "../../service.js";
import type { BlobStore } from "../../storage/storage.js";
import type { CallAdapters } from "../call.js";
import type { RecentPlans } from "../recent-plans.js";
import type { Sessions } from "../sessions.js";

export interface CoordinatorHandlerParts {
  readonly clients: ClientService;
  readonly blobs: BlobStore;
  readonly intake: Intake;
  readonly sessions: Sessions;
  readonly signer: Signer;
  readonly plans: RecentPlans;
  readonly pollWaitMs: number;
}

/** The client's side of the protocol: convert, call, convert. */
export function createCoordinatorHandlers(calls: CallAdapters, parts: CoordinatorHandlerParts): CoordinatorHandlers {
  const { clients, blobs, intake, sessions, signer, plans } = parts;
  return {
    Enrol: calls.unary("Enrol", async (request) => {
      const clientId = await clients.enrol(enrolmentFromWire(request));
      return enrolAnswerToWire({
        protocolVersion,
        clientId,
        session: sessions.issue(clientId),
        coordinatorKey: signer.publicKey,
        pollWaitMs: parts.pollWaitMs,
        directives: supportedDirectives,
      });
    }),
    Poll: calls.unary("Poll", async (request, { metadata, signal }) => {
      const clientId = sessions.authenticate(metadata);
      const answer = await clients.poll(clientId, pollFromWire(request), signal);
      if (answer.kind !== "plan") return pollAnswerToWire(answer);
      plans.remember(clientId, answer.plan.planId);
      const sizes = await blobSizes(blobs, answer.plan);
      return pollAnswerToWire({ kind: "plan", plan: planToWire(answer.plan, sizes, signer) });
    }),
    GetBlob: calls.serverStream("GetBlob", async (request, { metadata, signal }, write) => {
      const clientId = sessions.authenticate(metadata);
      const range = blobRangeFromWire(request);
      const { size } = await clients.authorizeBlob(clientId, range.id);
      const planId = plans.of(clientId);
      await sendBlob(blobs, range, size, signal, async (chunk) => {
        await write(chunk);
        if (planId !== undefined) clients.countBytes(planId, "down", chunk.data.byteLength);
      });
    }),
    BeginUpload: calls.unary("BeginUpload", async (request, { metadata }) => {
      const { planId, blob } = uploadStartFromWire(request);
      return uploadStateToWire(await intake.begin(sessions.authenticate(metadata), planId, blob));
    }),
    PutChunk: calls.unary("PutChunk", async (request, { metadata }) => {
      const clientId = sessions.authenticate(metadata);
      return { nextOffset: await intake.putChunk(clientId, uploadChunkFromWire(request)) };
    }),
    PutChunks: calls.clientStream("PutChunks", async (requests, { metadata }) => {
      const clientId = sessions.authenticate(metadata);
      return { nextOffset: await intake.putChunks(clientId, convertChunks(requests)) };
    }),
    Commit: calls.unary("Commit", async (request, { metadata }) => {
      const receipt = await intake.commit(sessions.authenticate(metadata), commitFromWire(request));
      return { receipt: receiptToWire(receipt, signer.publicKey) };
    }),
    Decline: calls.unary("Decline", async (request, { metadata }) => {
      const clientId = sessions.authenticate(metadata);
      const { planId, code, reason } = declineFromWire(request);
      await clients.decline(clientId, planId, code, reason);
      return {};
    }),
    Report: calls.unary("Report", async (request, { metadata }) => {
      const clientId = sessions.authenticate(metadata);
      const { planId, ...progress } = reportFromWire(request);
      return reportAnswerToWire(await clients.report(clientId, planId, progress));
    }),
  };
}

async function* convertChunks(
  requests: AsyncIterable<Parameters<typeof uploadChunkFromWire>[0]>,
): AsyncGenerator<UploadChunk> {
  for await (const request of requests) yield uploadChunkFromWire(request);
}

async function blobSizes(blobs: BlobStore, plan: RoundPlan): Promise<BlobSizes> {
  const ids: readonly BlobId[] = [
    plan.instructions,
    plan.globalAdapter,
    ...plan.frozen,
    ...(plan.baseDeltas ?? []).map(({ blob }) => blob),
  ];
  return Object.fromEntries(await Promise.all(ids.map(async (id) => [id, await blobs.size(id)] as const)));
}
