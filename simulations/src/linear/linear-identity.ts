import type { EngineIdentity } from "../device/profile.js";
import { linearDirectives } from "./linear-trainer.js";

/**
 * What the linear trainer's bits depend on: its arithmetic is JavaScript's, of which `Math.exp` is the machine's own. The first
 * number goes up where the order of its operations changes.
 */
export function linearIdentity(): EngineIdentity {
  const fingerprint = `linear 2, V8 ${process.versions.v8}, ${process.platform}-${process.arch}`;
  return { name: "linear", fingerprint, directives: linearDirectives };
}
