import * as tf from "@tensorflow/tfjs";
import type { EngineBackend } from "../engine.js";
import { EagerExecutor } from "./eager-executor.js";
import { loadEagerBackend } from "./load-backend.js";
import { runOnBackend } from "./run-on-backend.js";

/** TensorFlow.js: cpu and wasm everywhere, the native packages where they are installed. */
export const eagerBackend: EngineBackend = {
  async describe(engine) {
    const { version } = await loadEagerBackend(engine, 1);
    return { version, settings: "" };
  },

  async open({ artifact, weightsFile, engine, threads }) {
    const { name } = await loadEagerBackend(engine, threads);
    return new EagerExecutor({ artifact, weightsFile, backendName: name });
  },

  async openProduct(engine, m, k, n, threads) {
    const { name } = await loadEagerBackend(engine, threads);
    const [a, b] = runOnBackend(name, () => [tf.fill([m, k], 0.5), tf.fill([k, n], 0.25)] as const);
    return {
      run: () => {
        // Reading a value waits for the result on backends that compute in the background.
        runOnBackend(name, () => tf.tidy(() => tf.slice(tf.matMul(a, b), [0, 0], [1, 1]).dataSync()));
        return Promise.resolve();
      },
      dispose: () => {
        a.dispose();
        b.dispose();
        return Promise.resolve();
      },
    };
  },
};
