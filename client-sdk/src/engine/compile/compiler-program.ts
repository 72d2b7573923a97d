import { parentPort } from "node:worker_threads";
import { FedLoraError } from "@fedlora/core";
import type { ArtifactRef } from "../artifact.js";
import { toWireError } from "../runtime/protocol.js";
import type { WireError } from "../runtime/protocol.js";
import type { CompileRequest } from "./compile-artifact.js";

export type CompilerAnswer =
  | { readonly kind: "compiled"; readonly artifact: ArtifactRef }
  | { readonly kind: "failed"; readonly error: WireError };

// The compiler thread's program: one request at a time, one answer each.
parentPort?.on("message", (request: CompileRequest) => {
  compile(request).then(
    (artifact) => answer({ kind: "compiled", artifact }),
    (thrown: unknown) => answer({ kind: "failed", error: toWireError(thrown) }),
  );
});

async function compile(request: CompileRequest): Promise<ArtifactRef> {
  // Loaded here, so that a TensorFlow.js that does not load is answered and not a thread that died.
  const { compileArtifact } = await import("./compile-artifact.js").catch((cause: unknown) => {
    const reason = cause instanceof Error ? (cause.message.split("\n", 1)[0] ?? "") : String(cause);
    throw new FedLoraError("engine-unavailable", `the compiler cannot be loaded: ${reason}`, { cause });
  });
  return compileArtifact(request);
}

function answer(message: CompilerAnswer): void {
  parentPort?.postMessage(message);
}
