import { systemClock } from "@fedlora/core";
import type { EngineBackend, EngineName, TrainingEngine } from "../engine.js";
import { EngineCore } from "../runtime/engine-core.js";
import { engineFingerprint } from "../runtime/fingerprint.js";
import { nodeHost } from "../runtime/node-host.js";
import type { EngineStart } from "../runtime/protocol.js";

/** The family behind an engine's name; each is loaded only when it is used, so that its packages stay optional. */
export async function loadBackend(engine: EngineName): Promise<EngineBackend> {
  if (engine.startsWith("tfjs")) return (await import("../eager/index.js")).eagerBackend;
  return (await import("../runtime/ort-backend.js")).ortBackend;
}

/** Starts an engine in this process. Throws `engine-unavailable` where its package cannot be loaded. */
export async function startEngine(start: EngineStart): Promise<TrainingEngine> {
  const backend = await loadBackend(start.engine);
  const description = await backend.describe(start.engine, start);
  const { engine: name, ...settings } = start;
  const fingerprint = engineFingerprint(name, description);
  return new EngineCore({ ...settings, name, fingerprint, backend, host: nodeHost(systemClock) });
}
