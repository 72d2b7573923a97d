export { loadCoordinatorKey } from "./storage/coordinator-key.js";
export { openFileStorage } from "./storage/file-storage.js";
export type { FileStorage, FileStorageOptions } from "./storage/file-storage.js";
export type { FileSystem, OpenFile } from "./storage/file-system.js";
export { MemoryMedium, openMemoryStorage } from "./storage/memory-storage.js";
export type {
  BlobStore,
  Journal,
  JournalEvent,
  PartialBlob,
  Snapshot,
  Storage,
  StoredEvent,
} from "./storage/storage.js";
export { aggregateRound } from "./aggregate/aggregate-round.js";
export type {
  AggregationJob,
  AggregationOutcome,
  AggregationRunner,
  BlobFile,
  UpdateFile,
} from "./aggregate/aggregation.js";
export { AggregationPool } from "./aggregate/pool.js";
export type { AggregationPoolOptions } from "./aggregate/pool.js";
export type { Accounting } from "./privacy/accounting.js";
export { ThreadedAccounting } from "./privacy/threaded-accounting.js";
export { createCoordinatorService } from "./rounds/coordinator-service.js";
export type {
  CoordinatorHooks,
  CoordinatorServiceOptions,
  CoordinatorTuning,
  PrivacyFacts,
} from "./rounds/coordinator-options.js";
export type {
  ClientService,
  CoordinatorService,
  EvaluationResult,
  RoundPhase,
  RoundSummary,
  RunDetail,
  RunState,
} from "./service.js";

export { createCoordinator } from "./app.js";
export type { Coordinator, CoordinatorParts } from "./app.js";
export { coordinatorConfigSchema } from "./config/config.js";
export type { CoordinatorConfig, CoordinatorConfigInput } from "./config/config.js";
export { createSigner } from "./config/signer.js";
export { Intake, intakeDefaults } from "./intake/intake.js";
export type { IntakeOptions } from "./intake/intake.js";
export { createUpdateValidator } from "./intake/validate-blob.js";
export {
  eventsOf as privacyEvents,
  plannedCounts as plannedReleases,
  samplingRateOf,
} from "./privacy/privacy-terms.js";
export type { ReleaseCounts } from "./privacy/privacy-terms.js";
export { privacyWarnings, settleNoise } from "./privacy/settle-noise.js";
export { runCoordinator } from "./run-coordinator.js";
export { startTransport } from "./server/transport.js";
export type { Transport, TransportOptions } from "./server/transport.js";
