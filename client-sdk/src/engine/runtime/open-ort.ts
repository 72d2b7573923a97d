import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ExecutorRequest, StepExecutor } from "../engine.js";
import { loadOnnxRuntime } from "./load-onnxruntime.js";
import { OrtExecutor, engineFailed } from "./ort-executor.js";
import { placeWeights, weightsFileName } from "./place-weights.js";
import { sessionOptions } from "./session-options.js";

/**
 * Opens an artifact on ONNX Runtime. The native runtime maps the weights from the file; onnxruntime-web copies them into
 * its heap, which holds 4 GB at most.
 */
export async function openOrt(request: ExecutorRequest): Promise<StepExecutor> {
  const { artifact, engine, weightsFile } = request;
  const ort = await loadOnnxRuntime(engine, request.threads);
  const graph = join(artifact.folder, artifact.manifest.graphFile);
  const options = sessionOptions({ ...request, disabledOptimizers: artifact.manifest.disabledOptimizers });
  const outputs = artifact.manifest.outputs;
  try {
    if (engine !== "onnxruntime-web") {
      if (artifact.manifest.weights.length > 0) await placeWeights(artifact.folder, weightsFile);
      const session = await ort.InferenceSession.create(graph, options);
      return new OrtExecutor({ ort, session, outputs, reuseOutputs: engine === "onnxruntime-cpu" });
    }
    const externalData =
      artifact.manifest.weights.length > 0 ? [{ path: weightsFileName, data: await readFile(weightsFile) }] : [];
    const session = await ort.InferenceSession.create(await readFile(graph), { ...options, externalData });
    return new OrtExecutor({ ort, session, outputs, reuseOutputs: false });
  } catch (cause) {
    throw engineFailed(`${engine} cannot open ${graph}`, cause);
  }
}
