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
  ExecutorRequest,
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
