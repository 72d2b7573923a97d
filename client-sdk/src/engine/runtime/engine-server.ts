import { FedLoraError } from "@fedlora/core";
import type { ArtifactRef } from "../artifact.js";
import type { TrainingEngine } from "../engine.js";
import { engineMethods, toWireError } from "./protocol.js";
import type { EnginePort, EngineStart, FromEngine, ToEngine } from "./protocol.js";

/** Serves one engine over a port; the engine is made when the start message arrives. */
export function serveEngine(port: EnginePort, create: (start: EngineStart) => Promise<TrainingEngine>): void {
  const artifacts = new Map<string, ArtifactRef>();
  const aborts = new Map<number, AbortController>();
  let engine: Promise<TrainingEngine> | undefined;
  const post = (message: FromEngine): void => port.post(message);

  const call = async ({ id, method, args }: Extract<ToEngine, { type: "call" }>): Promise<void> => {
    const abort = new AbortController();
    aborts.set(id, abort);
    try {
      if (engine === undefined || !engineMethods.includes(method)) {
        throw new FedLoraError("internal", `engine call "${method}" before the start, or unknown`);
      }
      const target = (await engine) as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      const value = await target[method]?.(...args.map((arg) => withArtifact(arg, artifacts)), abort.signal);
      post({ type: "result", id, value });
    } catch (thrown) {
      post({ type: "error", id, error: toWireError(thrown) });
    } finally {
      aborts.delete(id);
    }
  };

  port.onMessage((raw) => {
    const message = raw as ToEngine;
    switch (message.type) {
      case "start":
        engine = create(message.start);
        engine.then(
          ({ name, fingerprint }) => post({ type: "ready", name, fingerprint }),
          (thrown: unknown) => post({ type: "failed", error: toWireError(thrown) }),
        );
        return;
      case "artifact":
        artifacts.set(message.id, message.artifact);
        return;
      case "call":
        void call(message);
        return;
      case "cancel":
        aborts.get(message.id)?.abort();
        return;
    }
  });
}

/** Puts the manifest back where a request names it by id. */
function withArtifact(arg: unknown, artifacts: ReadonlyMap<string, ArtifactRef>): unknown {
  if (typeof arg !== "object" || arg === null || !("artifact" in arg) || typeof arg.artifact !== "string") return arg;
  return { ...arg, artifact: artifacts.get(arg.artifact) };
}
