import { FedLoraError } from "@fedlora/core";
import type { InferenceSessionFactory, TensorConstructor } from "onnxruntime-node";
import type { EngineName } from "../engine.js";

/** What the executors need of onnxruntime-node and onnxruntime-web alike. */
export interface OnnxRuntime {
  readonly InferenceSession: InferenceSessionFactory;
  readonly Tensor: TensorConstructor;
  /** Package and version. */
  readonly version: string;
}

/**
 * Loads the package behind an engine; both are optional peers.
 *
 * Throws `engine-unavailable` with the loader's reason: not installed, or a native addon that does not fit this machine.
 */
export async function loadOnnxRuntime(engine: EngineName, threads: number): Promise<OnnxRuntime> {
  try {
    if (engine === "onnxruntime-web") {
      const web = await import("onnxruntime-web");
      // Read once, when the wasm module starts: later sessions share its threads.
      web.env.wasm.numThreads = threads;
      web.env.logLevel = "error";
      return { ...pick(web), version: `onnxruntime-web ${web.env.versions.web ?? web.env.versions.common}` };
    }
    // TF32 rounds products to 10 bits; the CUDA libraries read the variable when they start.
    if (engine === "onnxruntime-cuda") process.env["NVIDIA_TF32_OVERRIDE"] ??= "0";
    const node = await import("onnxruntime-node");
    node.env.logLevel = "error";
    return { ...pick(node), version: `onnxruntime-node ${node.env.versions.node ?? node.env.versions.common}` };
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split("\n", 1)[0] ?? "") : String(cause);
    const packageName = engine === "onnxruntime-web" ? "onnxruntime-web" : "onnxruntime-node";
    throw new FedLoraError("engine-unavailable", `engine ${engine}: ${packageName} cannot be loaded: ${reason}`, {
      cause,
    });
  }
}

function pick(
  module: Pick<OnnxRuntime, "InferenceSession" | "Tensor">,
): Pick<OnnxRuntime, "InferenceSession" | "Tensor"> {
  return { InferenceSession: module.InferenceSession, Tensor: module.Tensor };
}
