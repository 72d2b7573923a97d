import type { EngineIdentity } from "../device/profile.js";
import { linearDirectives } from "./linear-trainer.js";

/** What the linear trainer's bits depend on: its arithmetic is JavaScript's, of which `Math.exp` is the machine's own. */
export function linearIdentity(): EngineIdentity {
  const fingerprint = `linear 1, V8 ${process.versions.v8}, ${process.platform}-${process.arch}`;
  return { name: "linear", fingerprint, directives: linearDirectives };
}
