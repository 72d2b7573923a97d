import { FedLoraError } from "@fedlora/core";
import type { EngineBackend, EngineName, HostTensor } from "../engine.js";
import { loadOnnxRuntime } from "./load-onnxruntime.js";
import { openOrt } from "./open-ort.js";
import { OrtExecutor, engineFailed } from "./ort-executor.js";
import { productGraph } from "./product-graph.js";
import { describeSettings, sessionOptions } from "./session-options.js";

/** ONNX Runtime: native on CPU, CUDA and WebGPU, and onnxruntime-web. */
export const ortBackend: EngineBackend = {
  async describe(engine, options) {
    const { version } = await loadOnnxRuntime(engine, 1);
    if (engine !== "onnxruntime-cpu" && engine !== "onnxruntime-web") await tryProvider(engine);
    return { version, settings: describeSettings(engine, options) };
  },

  open: openOrt,

  async openProduct(engine, m, k, n, threads) {
    const ort = await loadOnnxRuntime(engine, threads);
    const options = sessionOptions({ engine, threads, prepack: false, disabledOptimizers: [] });
    const session = await ort.InferenceSession.create(productGraph(m, k, n), options).catch((cause: unknown) => {
      throw engineFailed(`${engine} cannot open a product`, cause);
    });
    const executor = new OrtExecutor({
      ort,
      session,
      outputs: [{ name: "c", role: "logits", dtype: "F32", shape: [m, n] }],
      reuseOutputs: engine === "onnxruntime-cpu",
    });
    const feeds = new Map<string, HostTensor>([
      ["a", { dtype: "F32", shape: [m, k], data: new Float32Array(m * k).fill(0.5) }],
      ["b", { dtype: "F32", shape: [k, n], data: new Float32Array(k * n).fill(0.25) }],
    ]);
    return {
      run: async () => {
        await executor.run(feeds, ["c"]);
      },
      dispose: () => executor.dispose(),
    };
  },
};

/** The package being there says nothing about a GPU's driver: only a run does. */
async function tryProvider(engine: EngineName): Promise<void> {
  try {
    const product = await ortBackend.openProduct(engine, 8, 8, 8, 1);
    await product.run();
    await product.dispose();
  } catch (cause) {
    throw new FedLoraError("engine-unavailable", FedLoraError.from(cause).message, { cause });
  }
}
