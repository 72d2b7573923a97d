// What the client is made of, for programs that put it together in another way: simulations, and trainers of one's own.
export { takePart } from "./client/take-part.js";
export type { ParticipationParts } from "./client/take-part.js";
export type { CapabilitySource } from "./client/capability-meter.js";
export type {
  ClientState,
  DownloadCache,
  FinishedUpdates,
  OpenUpdate,
  PartialDownload,
} from "./client/client-state.js";
export type { StoredAdapter } from "./client/adapter-store.js";
export type { BaseChain } from "./client/base-chain.js";
export type { AnsweredPlan, FinishedWork } from "./client/work-journal.js";
export { PrivacyLedger } from "./privacy/ledger.js";
export type { LedgerLog, LedgerRecord } from "./privacy/ledger.js";
export { Slot } from "./engine/runtime/slot.js";
export { plainKernels, type SlotKernels } from "./engine/runtime/slot-kernels.js";
export type { ExampleClipping, HostTensor } from "./engine/engine.js";
export { assertPrivacySound } from "./privacy/check-plan.js";
export { lossBound, noiseCounts } from "./privacy/noised-counts.js";
export { poissonBatches } from "./privacy/poisson-steps.js";
export { privateSteps } from "./privacy/private-steps.js";
export type { PrivateSteps } from "./privacy/private-steps.js";
export { derivedSecrets, systemSecrets } from "./privacy/secrets.js";
export { releasedMetrics } from "./privacy/released-metrics.js";
export { planAdapter } from "./lora/adapter-plan.js";
export type { AdapterPlan } from "./lora/adapter-plan.js";
export { newControls } from "./train/control-variates.js";
export { directiveOf, heldTensors, slotDirectives } from "./train/directives.js";
export { planSteps } from "./train/plan-steps.js";
export type { PlannedStep } from "./train/plan-steps.js";
export { learningRateFactor, learningRates } from "./train/schedule.js";
export { streamKeyOf } from "./train/train-adapter.js";
