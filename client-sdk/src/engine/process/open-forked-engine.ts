import type { TrainingEngine } from "../engine.js";
import { EngineProxy } from "../runtime/engine-proxy.js";
import { forkEngine } from "../runtime/fork-engine.js";
import type { EngineStart } from "../runtime/protocol.js";

/** An engine in a child process; a crashed one is started again by the next `createSlot`. */
export function openForkedEngine(start: EngineStart): Promise<TrainingEngine> {
  return EngineProxy.open(() => forkEngine(new URL("./engine-child", import.meta.url), start));
}
