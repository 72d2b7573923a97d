import type { ArtifactRef } from "./artifact.js";
import type { CompileRequest } from "./compile/compile-artifact.js";

/** `compileArtifact`, with TensorFlow.js loaded at the first call: an application that only runs artifacts needs none. */
export async function compileArtifact(request: CompileRequest): Promise<ArtifactRef> {
  return (await import("./compile/compile-artifact.js")).compileArtifact(request);
}
