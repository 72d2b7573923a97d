import { expect, test } from "vitest";
import type { EngineName } from "../engine.js";
import { ortBackend } from "./ort-backend.js";
import { loadOnnxRuntime } from "./load-onnxruntime.js";
import { productGraph } from "./product-graph.js";
import { describeSettings, sessionOptions } from "./session-options.js";

// In this order: the native runtime switches the thread over for good.
test.each<[EngineName, "kept" | "zero"]>([
  ["onnxruntime-web", "kept"],
  ["onnxruntime-cpu", "zero"],
])("%s: denormal numbers are %s, as the fingerprint says", async (engine, denormals) => {
  const { InferenceSession, Tensor } = await loadOnnxRuntime(engine, 1);
  const options = sessionOptions({ engine, threads: 1, prepack: false, disabledOptimizers: [] });
  const session = await InferenceSession.create(productGraph(1, 1, 1), options);
  const factor = new Tensor("float32", Float32Array.of(1e-20), [1, 1]);

  const { c } = await session.run({ a: factor, b: factor });

  // As integers, since the thread itself may count them as zero.
  const [bits = 0] = new Uint32Array((c?.data as Float32Array).slice().buffer);
  expect(bits === 0 ? "zero" : "kept").toBe(denormals);
  expect(describeSettings(engine, { prepack: false })).toContain(`denormals=${denormals}`);
  expect((await ortBackend.describe(engine, { prepack: false })).settings).toContain(`denormals=${denormals}`);
});
