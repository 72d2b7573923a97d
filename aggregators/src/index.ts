export type {
  Aggregation,
  AggregationInput,
  AggregationPass,
  AggregationResult,
  AdapterVariant,
  BaseDelta,
  ByteCount,
  ClientCapability,
  ClientInstruction,
  ClientStateDeclaration,
  ContinuedAggregation,
  ExportForm,
  IntakeRule,
  Method,
  MethodCapabilities,
  MethodDefinition,
  MethodRun,
  MethodRunState,
  SealedPasses,
  TensorGroup,
  TensorSink,
  UpdateView,
} from "./method.js";
export { largestWeight, updateWeight } from "./weighting.js";
export { createMethodRegistry, findMethod } from "./registry.js";
export type { MethodRegistry } from "./registry.js";
export { builtinMethods } from "./builtin.js";
export { methodMatrix } from "./method-matrix.js";
export type { MatrixRequest, MethodRow, RoundTraffic } from "./method-matrix.js";
export type { EntryNoise } from "./privacy/entry-noise.js";
export type { NoiseRow, NoiseTable } from "./privacy/noise-table.js";
export { noiseVerdict, runNoise } from "./privacy/run-noise.js";
export type { RunNoise } from "./privacy/run-noise.js";
export { assertMethod, compileMethod } from "./compile-method.js";
export { planInstructions } from "./plan-instructions.js";
export { builtinInitialisations, initialisationOf } from "./init/initialisation-of.js";
export { principalFactors } from "./init/principal-factors.js";
export type { PrincipalFactors } from "./init/principal-factors.js";
export { initialisePhase } from "./init/with-initialisation.js";
export type { AdapterInitialisation, InitialisationRounds } from "./init/adapter-initialisation.js";
export { assertCombination, clientMismatch, requestOf } from "./capabilities.js";
export type { MethodRequest } from "./capabilities.js";
export { joinSealed, runPasses, sealSpans } from "./run-passes.js";
export type { Sweep } from "./run-passes.js";
export { privateRelease } from "./release/private-release.js";
export type { Release, ReleaseTerms } from "./release/private-release.js";
export { fedavg } from "./method/fedavg.js";
export type { FedAvgOptions } from "./method/fedavg.js";
export { adapterGroups } from "./primitive/adapter-groups.js";
export type { AdapterGroup } from "./primitive/adapter-groups.js";
export { ExactSum } from "./primitive/exact-sum.js";
export { hashedTensors } from "./primitive/hashed-tensors.js";
export { meanAggregation } from "./primitive/mean-aggregation.js";
export type { MeanAggregationOptions } from "./primitive/mean-aggregation.js";
export {
  bytesPerRound,
  deltaInstruction,
  freshOnly,
  frozen,
  leadingBlock,
  leadingBlocks,
  personal,
  projectLeading,
  readOnly,
  rolesOf,
  shared,
  staleAllowed,
  tensorBytes,
} from "./primitive/method-parts.js";
export type { RoleFlags } from "./primitive/method-parts.js";
export { ownerMeanPass } from "./primitive/owner-mean.js";
export type { OwnerMeanState } from "./primitive/owner-mean.js";
export { perUpdatePass } from "./primitive/per-update.js";
export type { PerUpdate } from "./primitive/per-update.js";
export { ratioMeanPass, weightedMeanPass } from "./primitive/weighted-mean.js";
export type { RatioMeanOptions, RatioTerm, WeightedMean, WeightedMeanState } from "./primitive/weighted-mean.js";
export { addScaled, columnMatrix, dotAt, multiply } from "./linalg/column-matrix.js";
export type { ColumnMatrix } from "./linalg/column-matrix.js";
export { joinBaseDeltas } from "./primitive/join-deltas.js";
export type { BaseDeltaReader } from "./primitive/join-deltas.js";
export { factoredProductSvd } from "./linalg/factored-product-svd.js";
export type { TruncatedSvd } from "./linalg/factored-product-svd.js";
export { HouseholderQr } from "./linalg/householder-qr.js";
export { ridgeSolve } from "./linalg/ridge-solve.js";
export { smallSvd } from "./linalg/small-svd.js";
export type { Svd } from "./linalg/small-svd.js";
