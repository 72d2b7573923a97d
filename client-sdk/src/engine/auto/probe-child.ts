import { systemClock } from "@fedlora/core";
import type { ProductRunner } from "../engine.js";
import { loadBackend } from "../process/start-engine.js";
import { engineFingerprint } from "../runtime/fingerprint.js";
import { toWireError } from "../runtime/protocol.js";
import type { ProbeAnswer, ProbeRequest } from "./probe-engine.js";

const MEASURE_MS = 400;

/** Answers one request and ends: what a native package leaves behind, or a crash of its driver, stays in this process. */
process.once("message", (message) => {
  void answer(message as ProbeRequest).then((result) => {
    process.send?.(result, undefined, {}, () => process.exit(0));
  });
});
process.on("disconnect", () => process.exit(0));

async function answer({ engine, threads, m, k, n }: ProbeRequest): Promise<ProbeAnswer> {
  try {
    const backend = await loadBackend(engine);
    const description = await backend.describe(engine, { prepack: false });
    const product = await backend.openProduct(engine, m, k, n, threads);
    const seconds = await bestSeconds(product);
    await product.dispose();
    return {
      kind: "measured",
      version: description.version,
      fingerprint: engineFingerprint(engine, description),
      gflops: (2 * m * k * n) / seconds / 1e9,
    };
  } catch (thrown) {
    return { kind: "failed", error: toWireError(thrown) };
  }
}

/** The best of the runs within a fixed time; a slow engine gets one run. */
async function bestSeconds(product: ProductRunner): Promise<number> {
  const end = systemClock.monotonicMs() + MEASURE_MS;
  let best = Number.POSITIVE_INFINITY;
  do {
    const start = systemClock.monotonicMs();
    await product.run();
    best = Math.min(best, systemClock.monotonicMs() - start);
  } while (systemClock.monotonicMs() < end);
  return best / 1000;
}
