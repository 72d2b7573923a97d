import * as tf from "@tensorflow/tfjs";

/**
 * Runs `body` with another tfjs backend than the current one and goes back. The backend must have been initialised; then
 * tfjs switches at once, although `setBackend` is an asynchronous function. `body` must be synchronous, for the current
 * backend is one variable of the process.
 */
export function runOnBackend<T>(name: string, body: () => T): T {
  const engine = tf.engine() as unknown as { readonly backendName: string | null | undefined };
  const before = engine.backendName;
  // Production mode: no check for NaN after every kernel, no advertisement on the console.
  if (!tf.env().getBool("PROD")) tf.enableProdMode();
  void tf.setBackend(name);
  try {
    return body();
  } finally {
    if (typeof before === "string" && before !== name) void tf.setBackend(before);
  }
}
