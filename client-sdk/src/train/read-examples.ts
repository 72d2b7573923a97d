import { FedLoraError } from "@fedlora/core";
import type { Example, ExampleSource } from "./local-trainer.js";

/**
 * All examples of a source, in its order. They are kept as they came: what they hold is checked when they are encoded.
 *
 * @param name of the data set, for messages
 * @throws FedLoraError `data-empty` where there is none, `cancelled`; what the source itself throws becomes the cause of
 *   a `data-invalid`
 */
export async function readExamples(
  source: ExampleSource | Promise<ExampleSource>,
  name: string,
  signal: AbortSignal,
  turn: () => Promise<void>,
): Promise<readonly Example[]> {
  const examples: Example[] = [];
  try {
    for await (const example of await source) {
      assertNotAborted(signal);
      examples.push(example);
      await turn();
    }
  } catch (cause) {
    assertNotAborted(signal);
    if (cause instanceof FedLoraError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new FedLoraError("data-invalid", `data set "${name}" failed after ${examples.length} examples: ${message}`, {
      cause,
    });
  }
  if (examples.length === 0) throw new FedLoraError("data-empty", `data set "${name}" holds no example`);
  return examples;
}

/** @throws FedLoraError `cancelled` */
export function assertNotAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new FedLoraError("cancelled", "training was cancelled", { cause: signal.reason });
}
