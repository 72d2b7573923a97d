export { FedLoraError, errorTable, isErrorCode } from "./errors.js";
export type { ErrorCode, ErrorEntry, FedLoraErrorOptions, GrpcStatus } from "./errors.js";
export { isBaseModelHash, isBlobId, isClientId, isPlanId, isRunId } from "./ids.js";
export type { BaseModelHash, BlobId, ClientId, PlanId, RoundNumber, RunId } from "./ids.js";
export { systemClock } from "./clock.js";
export type { Clock } from "./clock.js";
export { noopLogger } from "./logger.js";
export type { Logger } from "./logger.js";
export { dtypes, itemSize } from "./tensor/dtype.js";
export type { DType } from "./tensor/dtype.js";
export { elementCount } from "./tensor/tensor.js";
export type { StateDict, Tensor, TensorLayout, TensorSpec } from "./tensor/tensor.js";
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "./tensor/convert.js";
export { assertTensor, copyFloat32, firstNonFinite, fromFloat32, toFloat32 } from "./tensor/values.js";
export type { FloatDType } from "./tensor/values.js";
export {
  canonicalLayout,
  compareNames,
  layoutOf,
  layoutsEqual,
  shapesEqual,
  toStateDict,
} from "./tensor/state-dict.js";
export {
  maxHeaderBytes,
  parseSafetensorsHeader,
  readHeaderLength,
  safetensorsPrefixBytes,
} from "./tensor/safetensors-header.js";
export type { SafetensorsEntry, SafetensorsHeader } from "./tensor/safetensors-header.js";
export { planSafetensors, readSafetensors, writeSafetensors } from "./tensor/safetensors.js";
export type { SafetensorsOptions, SafetensorsPlan } from "./tensor/safetensors.js";
export { hashStateDict, hashTensorList, portableSha256, sha256, sha256Hex, toHex } from "./tensor/hash.js";
export type { HashFactory, HashedTensor, IncrementalHash } from "./tensor/hash.js";
export { BlobHasher, blobIdOf, blobIdOfChunks, chunkBytes, chunkCount, chunksOf } from "./blob/chunks.js";
export { canonicalBytes, canonicalJson } from "./json/canonical-json.js";
export type { CanonicalValue } from "./json/canonical-json.js";
export { parseStrictJson } from "./json/strict-json.js";
export type { StrictJson } from "./json/strict-json.js";
export type { AdaptableModule, HeadModule, ModelManifest } from "./model/manifest.js";
export {
  adapterKeys,
  adapterLayout,
  baseDeltaKeys,
  headKeys,
  loraKeys,
  resolveAdapter,
} from "./adapter/lora-config.js";
export type { ResolvedAdapter, ResolvedHead, ResolvedModule } from "./adapter/lora-config.js";
export { adaptedLayers } from "./adapter/adapted-layers.js";
export { rankDistribution } from "./adapter/rank-distribution.js";
export type { RankProgression } from "./adapter/rank-distribution.js";
export { initialAdapter } from "./adapter/initial-adapter.js";
export { orthonormalizeRows } from "./math/orthonormal-rows.js";
export { plainLora } from "./adapter/plain-lora.js";
export { fromPeftConfig, toPeftConfig } from "./adapter/peft-config.js";
export { fromPeftFiles, toPeftFiles } from "./adapter/peft-format.js";
export type { LoraAdapter, PeftFiles } from "./adapter/peft-format.js";
export { matchTargetModules } from "./adapter/target-modules.js";
export { RandomStream, deriveKey, randomKey, threefry } from "./math/random.js";
export type { RandomKey } from "./math/random.js";
export { ChaCha20 } from "./math/chacha20.js";
export { SecretRandom, systemSecret } from "./math/secret-random.js";
export { formatTable } from "./text/format-table.js";
export type { TableCell, TableOptions } from "./text/format-table.js";
export { nearest, suggestion } from "./text/nearest.js";
export { firstLayoutDifference } from "./tensor/layout-difference.js";
export type { LayoutDifference } from "./tensor/layout-difference.js";
export { clientControlName, controlledTensor, isControlTensor, serverControlName } from "./adapter/control-tensors.js";
export { moduleOfTensor, rankAxes, tensorKindOf } from "./adapter/tensor-kind.js";
export type { TensorKind } from "./adapter/tensor-kind.js";
export { referenceModelNames, referenceModules } from "./model/reference-models.js";
export type { TensorRole, TensorRoles, UpdateForm } from "./adapter/tensor-roles.js";
export { supportedDirectives } from "./plan/directive.js";
export type { Directive, DirectiveKind } from "./plan/directive.js";
export type { BaseDeltaLink, PlanInstructions, PlanKind, RoundPlan } from "./plan/round-plan.js";
export type { EvaluationCounts, UpdateMetrics, UpdateReceipt } from "./update/client-update.js";
export { expectedBatch } from "./plan/plan-privacy.js";
export type { PlanPrivacy } from "./plan/plan-privacy.js";
export type { Accountant, PrivacyBound, PrivacyEvent, PrivacyMechanism } from "./privacy/privacy-event.js";
export { adaptedClipNorm, splitNoise, unclippedShare } from "./privacy/adaptive-clip.js";
export { compileRunSpec, parseRunSpec, parseSpecText } from "./run-spec/compile.js";
export type { CompileRunSpecOptions } from "./run-spec/compile.js";
export { explainIssues } from "./run-spec/explain.js";
export type { ExplainedDocument, SpecProblem } from "./run-spec/explain.js";
export { runSpecJsonSchema } from "./run-spec/json-schema.js";
export type { JsonSchema } from "./run-spec/json-schema.js";
export { adapterSchema, rankPlanSchema, runSpecSchema, taskSchema, trainingSchema } from "./run-spec/schema.js";
export type {
  AdapterSpec,
  LegendPlanSpec,
  RankPlanSpec,
  PrivacySpec,
  RunSpec,
  RunSpecInput,
  ServerOptimizerSpec,
  TaskSpec,
  TiersPlanSpec,
  TrainingSpec,
} from "./run-spec/schema.js";
export { parseModelManifest } from "./model/parse-manifest.js";
export { parsePlanInstructions, planInstructionsBytes } from "./plan/instructions.js";
export {
  assertEvaluationCounts,
  assertUpdateMetrics,
  emptyCounts,
  evaluationMetrics,
  mergeCounts,
} from "./update/metrics.js";
export type { EvaluationMetrics } from "./update/metrics.js";
export { assertUpdateLayout, validateUpdate } from "./update/validate-update.js";
export type { UpdateSource } from "./update/validate-update.js";
export { codecFamilies, codecOf, openEncoded } from "./codec/codec.js";
export type { EncodedRead, UpdateCodec, UpdateDecoder } from "./codec/codec.js";
export { openNow } from "./codec/opening.js";
export type { Opening, TensorReader } from "./codec/opening.js";
export { createAccountant } from "./privacy/accountant.js";
export { gaussianDelta, gaussianEpsilon, gaussianNoiseMultiplier } from "./privacy/analytic-gaussian.js";
export { parallelBound } from "./privacy/parallel.js";
export { createRdpAccountant } from "./privacy/rdp-accountant.js";
export type { RdpOptions } from "./privacy/rdp-accountant.js";
export type { OrderGrid } from "./privacy/orders.js";
export { epsilonFor, noiseMultiplierFor, stepsFor } from "./privacy/solve.js";
export type { NoiseSearch, PrivacyTarget } from "./privacy/solve.js";
export { createPldAccountant } from "./privacy/pld-accountant.js";
export type { PldOptions } from "./privacy/pld-accountant.js";
