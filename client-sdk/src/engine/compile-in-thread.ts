import type { ArtifactRef } from "./artifact.js";
import type { CompileRequest } from "./compile/compile-artifact.js";
import { CompilerThread } from "./compile/compiler-thread.js";

const thread = new CompilerThread();

/**
 * Compiles a training step in a thread of its own, or finds it compiled, in which case nothing of TensorFlow.js is
 * loaded. The process has one such thread; it ends when no graph was asked for in a while.
 *
 * @throws FedLoraError `artifact-invalid` where the request contradicts the model or the weights file,
 *   `model-unsupported`, `engine-unavailable` where TensorFlow.js cannot be loaded, `engine-failed` where the thread died
 */
export function compileInThread(request: CompileRequest): Promise<ArtifactRef> {
  return thread.compile(request);
}
