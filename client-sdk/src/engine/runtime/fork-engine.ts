import type { ChildProcess } from "node:child_process";
import { FedLoraError, systemClock } from "@fedlora/core";
import type { EngineConnection } from "./engine-proxy.js";
import { forkModule } from "./fork-module.js";
import { fromWireError } from "./protocol.js";
import type { EngineStart, FromEngine, ToEngine } from "./protocol.js";

/** Loading a native runtime takes a second, TensorFlow.js on a busy machine several. */
const START_DEADLINE_MS = 60_000;
/** What a crashed engine last wrote, for the error's message. */
const KEPT_STDERR_CHARACTERS = 2000;

/**
 * Starts an engine in a process of its own, so that a step never blocks the application's event loop.
 *
 * @param entry see `forkModule`
 *
 * Throws what the engine answered, or `engine-failed` when it died or said nothing in time.
 */
export async function forkEngine(entry: URL, start: EngineStart): Promise<EngineConnection> {
  const child = forkModule(entry);
  const gone = reasonOfExit(child);
  const listeners = new Set<(message: unknown) => void>();
  child.on("message", (message) => {
    for (const listener of listeners) listener(message);
  });
  const port = {
    // A dead channel needs no error here: `gone` tells everybody who waits.
    post: (message: unknown) => void child.send(message as object, () => undefined),
    onMessage: (listener: (message: unknown) => void) => void listeners.add(listener),
  };
  try {
    const ready = await withDeadline(firstAnswer(port, gone, start));
    return { ...ready, port, gone, ...lifecycle(child) };
  } catch (thrown) {
    child.kill("SIGKILL");
    throw thrown;
  } finally {
    listeners.clear();
  }
}

function lifecycle(child: ChildProcess): Pick<EngineConnection, "hold" | "release" | "kill"> {
  const hold = (isBusy: boolean): void => {
    const stderr = child.stderr as { ref?(): void; unref?(): void } | null;
    for (const handle of [child, child.channel, stderr]) {
      if (isBusy) handle?.ref?.();
      else handle?.unref?.();
    }
  };
  return {
    hold,
    // Both hold on, so that the application can wait for the end.
    release: () => {
      hold(true);
      if (child.connected) child.disconnect();
    },
    kill: () => {
      hold(true);
      child.kill("SIGKILL");
    },
  };
}

function firstAnswer(
  port: EngineConnection["port"],
  gone: Promise<string>,
  start: EngineStart,
): Promise<Pick<EngineConnection, "name" | "fingerprint">> {
  return new Promise((resolve, reject) => {
    void gone.then((reason) => reject(new FedLoraError("engine-failed", `${start.engine} did not start: ${reason}`)));
    port.onMessage((raw) => {
      const message = raw as FromEngine;
      if (message.type === "ready") resolve({ name: message.name, fingerprint: message.fingerprint });
      if (message.type === "failed") reject(fromWireError(message.error));
    });
    port.post({ type: "start", start } satisfies ToEngine);
  });
}

async function withDeadline<Result>(answer: Promise<Result>): Promise<Result> {
  const stop = new AbortController();
  const late = systemClock.sleep(START_DEADLINE_MS, stop.signal).then(
    () => {
      throw new FedLoraError("engine-failed", `the engine's process did not answer within ${START_DEADLINE_MS} ms`);
    },
    () => answer,
  );
  try {
    return await Promise.race([answer, late]);
  } finally {
    stop.abort();
  }
}

function reasonOfExit(child: ChildProcess): Promise<string> {
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-KEPT_STDERR_CHARACTERS);
  });
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    // Not "close": it never comes when the parent disconnected the channel.
    child.once("exit", (code, signal) => {
      const how = signal === null ? `exit code ${code ?? 0}` : `signal ${signal}`;
      const tell = (): void => resolve(stderr.trim() === "" ? how : `${how}: ${stderr.trim()}`);
      if (child.stderr === null || child.stderr.closed) tell();
      else child.stderr.once("close", tell);
    });
  });
}
