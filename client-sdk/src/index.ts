export { inspectModel } from "./models/inspect.js";
export { loadBaseModel } from "./models/load/load-base-model.js";
export type { LoadOptions } from "./models/load/load-base-model.js";
export type { BaseModel } from "./models/base-model.js";
export type { EncodeOptions, Tokenizer } from "./models/tokenizer/tokenizer.js";
export type { BaseDelta } from "./models/base-delta/base-delta.js";
export { loadAdapterFolder, saveAdapterFolder } from "./lora/adapter-folder.js";
export type { SavedAdapter } from "./lora/adapter-folder.js";
export type { AdaptedModel, Classification, GenerateOptions, InferenceOptions } from "./inference/adapted-model.js";
export { createLocalTrainer } from "./train/create-local-trainer.js";
export { openModelWorkbench } from "./train/model-workbench.js";
export type { ModelWorkbench, ModelWorkbenchOptions } from "./train/model-workbench.js";
export type {
  ClassificationExample,
  DataSource,
  EvaluateRequest,
  Example,
  ExamplePrivacy,
  ExampleSource,
  LanguageExample,
  LocalTrainer,
  TrainingProgress,
  TrainRequest,
  TrainResult,
} from "./train/local-trainer.js";
// --- federated client
export { FederatedClient } from "./client.js";
export type { EndedEvent } from "./client.js";
export type { ClientEvent, FederatedClientOptions, OwnerPolicy } from "./client/options.js";
export { createEphemeralIdentity, loadOrCreateIdentity } from "./identity.js";
export type { Identity } from "./identity.js";
export { createGrpcTransport } from "./transport/grpc-transport.js";
export type { GrpcTransportOptions } from "./transport/grpc-transport.js";
export { checkEndpoint } from "./transport/endpoint.js";
export { defaultRetryPolicy } from "./transport/retry.js";
export type { RetryPolicy } from "./transport/retry.js";
export type {
  BlobChunk,
  BlobReference,
  ClientCapabilityReport,
  EnrolInfo,
  PollAnswer,
  Transport,
} from "./transport/transport.js";
// --- privacy
export { privatizeUpdate } from "./privacy/clip-update.js";
export { readPrivacyLedger } from "./privacy/ledger-file.js";
export type { LedgerEntry } from "./privacy/ledger.js";
export { privacySpent } from "./privacy/owner-privacy.js";
export type { DataSetPrivacy, PrivacyMode, PrivacyPolicy } from "./privacy/owner-privacy.js";
export { seededSecrets, systemSecrets } from "./privacy/secrets.js";
export type { SecretSource } from "./privacy/secrets.js";
// --- administration
export { AdminClient } from "./admin/admin-client.js";
export type { AdminClientOptions } from "./admin/admin-client.js";
export type { EngineName, EngineOptions } from "./engine/engine.js";
export { compileRun } from "./train/compile-run.js";
export type { CompileRunOptions } from "./train/compile-run.js";
// --- export
export { OpenBaseDelta } from "./models/base-delta/base-delta.js";
export type { DeltaFactors } from "./models/base-delta/base-delta.js";
export { saveMergedModel } from "./models/base-delta/save-merged-model.js";
export type { MergedModel, MergedModelRequest } from "./models/base-delta/save-merged-model.js";
