export type {
  AdaptedModule,
  ArtifactInput,
  ArtifactManifest,
  ArtifactOutput,
  ArtifactPurpose,
  ArtifactRef,
  ArtifactRequest,
  InputRole,
  OutputRole,
} from "./artifact.js";
export type {
  ApplyRequest,
  EngineBackend,
  EngineDescription,
  EngineName,
  EngineOptions,
  ExampleClipping,
  ExecutorRequest,
  GradientNoise,
  HostTensor,
  OptimizerSettings,
  ProductRunner,
  SlotSpec,
  StepExecutor,
  StepRequest,
  TrainingEngine,
} from "./engine.js";
export { diagnose } from "./auto/diagnose.js";
export type { DiagnoseOptions, DoctorReport, EngineDiagnosis } from "./auto/diagnose.js";
export { formatDoctorReport } from "./auto/format-report.js";
export { openEngine } from "./auto/open-engine.js";
export type { OpenEngineOptions } from "./auto/open-engine.js";
export type { TrialStep } from "./auto/time-engines.js";
export { openForkedEngine } from "./process/open-forked-engine.js";
export type { EngineStart } from "./runtime/protocol.js";
export { readArtifact } from "./runtime/read-artifact.js";
export { compileInThread as compileArtifact } from "./compile-in-thread.js";
export type { CompileRequest } from "./compile/compile-artifact.js";
export { readWeightPlaces } from "./weight-places.js";
export { loadBackend } from "./process/start-engine.js";
export { EngineCore } from "./runtime/engine-core.js";
export type { EngineCoreOptions, EngineHost } from "./runtime/engine-core.js";
export { forkModule } from "./runtime/fork-module.js";
export { nodeHost } from "./runtime/node-host.js";
export { builtInFamilies } from "../models/load/family-registry.js";
export { engineTable } from "./auto/engine-table.js";
export { exclusionReason } from "./auto/exclusion.js";
export { installedVersion } from "./auto/installed-version.js";
export { openSignedArtifact, signArtifact } from "./artifact-signature.js";
