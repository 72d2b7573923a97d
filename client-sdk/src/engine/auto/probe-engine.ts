import { FedLoraError, systemClock } from "@fedlora/core";
import type { EngineName } from "../engine.js";
import { forkModule } from "../runtime/fork-module.js";
import { fromWireError } from "../runtime/protocol.js";
import type { WireError } from "../runtime/protocol.js";

export interface ProbeRequest {
  readonly engine: EngineName;
  readonly threads: number;
  /** The product [m, k] x [k, n]. */
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

export type ProbeAnswer =
  | { readonly kind: "measured"; readonly version: string; readonly fingerprint: string; readonly gflops: number }
  | { readonly kind: "failed"; readonly error: WireError };

export type ProbeResult = Omit<Extract<ProbeAnswer, { kind: "measured" }>, "kind">;

const DEADLINE_MS = 30_000;

/**
 * Loads an engine in a process of its own and times one plain product, in about a second.
 *
 * Throws `engine-unavailable` with the reason where it cannot be loaded, `engine-failed` where it crashed or hung.
 */
export async function probeEngine(request: ProbeRequest): Promise<ProbeResult> {
  const child = forkModule(new URL("./probe-child", import.meta.url));
  const stop = new AbortController();
  try {
    const answer = await new Promise<ProbeAnswer>((resolve, reject) => {
      const fail = (how: string): void => reject(new FedLoraError("engine-failed", `${request.engine} ${how}`));
      child.once("message", (message) => resolve(message as ProbeAnswer));
      child.once("error", (error) => fail(`did not start: ${error.message}`));
      child.once("exit", (code, signal) => fail(`ended its process with ${signal ?? `exit code ${code ?? 0}`}`));
      systemClock.sleep(DEADLINE_MS, stop.signal).then(
        () => fail(`did not answer within ${DEADLINE_MS} ms`),
        () => undefined,
      );
      child.send(request);
    });
    if (answer.kind === "failed") throw fromWireError(answer.error);
    return { version: answer.version, fingerprint: answer.fingerprint, gflops: answer.gflops };
  } finally {
    stop.abort();
    child.kill("SIGKILL");
  }
}
