export { channelOptions, createClients, sessionMetadata, sessionMetadataKey } from "./clients.js";
export type { Clients } from "./clients.js";
export { adminService, coordinatorService, RefusedMessage } from "./definitions.js";
export { keyIdOf, publicKeyBytes, signatureBytes, verifyEd25519 } from "./ed25519.js";
export type { Signer } from "./ed25519.js";
export { errorFromStatus, errorToStatus, errorTrailer } from "./error-details.js";
export { limits, protocolVersion } from "./limits.js";
export { enrolProofBytes, planBytes, receiptBytes } from "./signed-bytes.js";
export type { BlobSizes } from "./signed-bytes.js";

export { blobChunkFromWire, blobChunkToWire, blobRangeFromWire, blobPieceFromWire } from "./convert/blob.js";
export type { BlobChunk, BlobPiece, BlobRange } from "./convert/blob.js";
export { blobRefToWire } from "./convert/blob-ref.js";
export type { BlobReference } from "./convert/blob-ref.js";
export { isDeviceClass, noCapability } from "./convert/capability.js";
export type { CapabilityReport, StepTimes } from "./convert/capability.js";
export {
  checkBytes,
  checkDuration,
  checkFinite,
  checkId,
  checkInt,
  checkList,
  checkOptionalId,
  checkPresent,
  checkText,
} from "./convert/checks.js";
export { enrolAnswerFromWire, enrolAnswerToWire, enrolmentFromWire, enrolmentToWire } from "./convert/enrol.js";
export type { EnrolAnswer, Enrolment } from "./convert/enrol.js";
export { exportedAdapterFromWire, exportedAdapterToWire, exportFromWire } from "./convert/export.js";
export type { ExportedAdapter, ExportQuestion } from "./convert/export.js";
export { parseJson, parseJsonObject } from "./convert/json.js";
export { planFromWire, planToWire } from "./convert/plan.js";
export type { ReceivedPlan } from "./convert/plan.js";
export { pollAnswerFromWire, pollAnswerToWire, pollFromWire, pollToWire } from "./convert/poll.js";
export type { EndedAnswer, PollQuestion, ReceivedPoll, WaitAnswer } from "./convert/poll.js";
export { privacyModes, privacyPageFromWire, privacyReportToWire } from "./convert/privacy.js";
export type { PrivacyAccount, PrivacyPage, PrivacyReport, PrivacyRound } from "./convert/privacy.js";
export {
  declineFromWire,
  declineToWire,
  reportAnswerFromWire,
  reportAnswerToWire,
  reportFromWire,
  reportToWire,
} from "./convert/report.js";
export type { DeclineNotice, ProgressReport, ReportAnswer } from "./convert/report.js";
export { runDetailToWire, runPageFromWire, runSummaryFromWire, runSummaryToWire } from "./convert/run.js";
export type {
  EvaluationResult,
  RoundPhase,
  RoundSummary,
  RunDetail,
  RunPage,
  RunState,
  RunSummary,
} from "./convert/run.js";
export { auditRecordFromWire, auditRecordToWire, runEventFromWire, runEventToWire } from "./convert/run-event.js";
export type { AuditedFact, RunEventRecord } from "./convert/run-event.js";
export { commitFromWire, commitToWire, metricsFromWire, receiptFromWire, receiptToWire } from "./convert/update.js";
export type { CommitQuestion } from "./convert/update.js";
export {
  nextOffsetFromWire,
  uploadChunkFromWire,
  uploadChunkToWire,
  uploadStartFromWire,
  uploadStartToWire,
  uploadStateFromWire,
  uploadStateToWire,
} from "./convert/upload.js";
export type { UploadChunk, UploadStart, UploadState } from "./convert/upload.js";

export type { AdminClient, AdminHandlers } from "./gen/fedlora/v1/Admin.js";
export type { CoordinatorClient, CoordinatorHandlers } from "./gen/fedlora/v1/Coordinator.js";
