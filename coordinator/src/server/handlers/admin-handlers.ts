import { compileRunSpec, isBlobId, isRunId, parseModelManifest } from "@fedlora/core";
import {
  auditRecordToWire,
  blobPieceFromWire,
  blobRefToWire,
  checkId,
  checkInt,
  checkText,
  exportedAdapterToWire,
  exportFromWire,
  limits,
  parseJson,
  privacyReportToWire,
  runDetailToWire,
  runEventToWire,
  runSummaryToWire,
  type AdminHandlers,
  type BlobPiece,
} from "@fedlora/proto";
import { receiveBlob } from "../../intake/blob-receiver.js";
import { sendBlob } from "../../intake/blob-sender.js";
import type { AdminService } from "../../service.js";
import type { BlobStore } from "../../storage/storage.js";
import type { CallAdapters } from "../call.js";

/** The operator's side of the protocol. */
export function createAdminHandlers(calls: CallAdapters, admin: AdminService, blobs: BlobStore): AdminHandlers {
  return {
    RegisterModel: calls.unary("RegisterModel", async (request) => {
      const manifest = parseJson(request.manifestJson, "manifest_json", limits.manifestChars);
      return { hash: await admin.registerModel(parseModelManifest(manifest)) };
    }),
    CreateRun: calls.unary("CreateRun", async (request) => {
      const spec = compileRunSpec(parseJson(request.specJson, "spec_json", limits.specChars));
      return runDetailToWire(await admin.createRun(keyOf(request), spec));
    }),
    ListRuns: calls.unary("ListRuns", async () => {
      const runs = await admin.listRuns();
      const newestFirst = [...runs].sort((a, b) => b.createdMs - a.createdMs);
      return { runs: newestFirst.slice(0, limits.listEntries).map(runSummaryToWire) };
    }),
    GetRun: calls.unary("GetRun", async (request) =>
      runDetailToWire(await admin.getRun(runIdOf(request)), checkInt(request.afterRound, "after_round")),
    ),
    StopRun: calls.unary("StopRun", async (request) => {
      const reason = checkText(request.reason, "reason", limits.textChars);
      return runDetailToWire(await admin.stopRun(runIdOf(request), reason, keyOf(request)));
    }),
    ResumeRun: calls.unary("ResumeRun", async (request) =>
      runDetailToWire(await admin.resumeRun(runIdOf(request), keyOf(request))),
    ),
    WatchRun: calls.serverStream("WatchRun", async (request, { signal }, write) => {
      const after = checkInt(request.afterSequence, "after_sequence");
      for await (const event of admin.watch(runIdOf(request), after, signal)) await write(runEventToWire(event));
    }),
    GetExport: calls.unary("GetExport", async (request) => {
      const { runId, round, form } = exportFromWire(request);
      return exportedAdapterToWire(await admin.exportAdapter(runId, round, form));
    }),
    GetBlob: calls.serverStream("GetBlob", async (request, { signal }, write) => {
      const id = checkId(request.blobId, isBlobId, "blob_id");
      const range = { id, offset: 0, length: undefined };
      await sendBlob(blobs, range, await blobs.size(id), signal, write);
    }),
    PutBlob: calls.clientStream(
      "PutBlob",
      async (requests) => blobRefToWire(await receiveBlob(blobs, convertPieces(requests))) ?? {},
    ),
    GetPrivacy: calls.unary("GetPrivacy", async (request) =>
      privacyReportToWire(await admin.privacy(runIdOf(request)), checkInt(request.afterRound, "after_round")),
    ),
    Audit: calls.serverStream("Audit", async (request, { signal }, write) => {
      const after = checkInt(request.afterSequence, "after_sequence");
      for await (const record of admin.audit(runIdOf(request), after)) {
        signal.throwIfAborted();
        await write(auditRecordToWire(record));
      }
    }),
  };
}

async function* convertPieces(
  requests: AsyncIterable<Parameters<typeof blobPieceFromWire>[0]>,
): AsyncGenerator<BlobPiece> {
  for await (const request of requests) yield blobPieceFromWire(request);
}

const runIdOf = (request: { readonly runId: string }) => checkId(request.runId, isRunId, "run_id");

/** A write without a key could be made twice by a retry, so it needs one. */
const keyOf = (request: { readonly idempotencyKey: string }): string =>
  checkText(request.idempotencyKey, "idempotency_key", limits.nameChars, 1);
