import * as tf from "@tensorflow/tfjs";
import { FedLoraError } from "@fedlora/core";
import { createRequire } from "node:module";
import { dirname, sep } from "node:path";
import type { EngineName } from "../engine.js";

export interface EagerBackend {
  /** tfjs's name of the backend: `cpu`, `wasm`, `tensorflow`. */
  readonly name: string;
  /** Package and version. */
  readonly version: string;
}

const packages: Readonly<Partial<Record<EngineName, { readonly name: string; readonly module: string }>>> = {
  "tfjs-cpu": { name: "cpu", module: "@tensorflow/tfjs" },
  "tfjs-wasm": { name: "wasm", module: "@tensorflow/tfjs-backend-wasm" },
  "tfjs-node": { name: "tensorflow", module: "@tensorflow/tfjs-node" },
  "tfjs-node-gpu": { name: "tensorflow", module: "@tensorflow/tfjs-node-gpu" },
};

/**
 * Loads the package of a TensorFlow.js engine and initialises its backend; the native packages are optional.
 *
 * @throws FedLoraError `engine-unavailable` with the reason
 */
export async function loadEagerBackend(engine: EngineName, threads: number): Promise<EagerBackend> {
  const entry = packages[engine];
  if (entry === undefined) throw new FedLoraError("engine-unavailable", `"${engine}" is no TensorFlow.js engine`);
  if (!tf.env().getBool("PROD")) tf.enableProdMode();
  const before: unknown = (tf.engine() as { readonly backendName?: unknown }).backendName;
  try {
    if (engine === "tfjs-wasm") await prepareWasm(entry.module, threads);
    else if (engine !== "tfjs-cpu") await import(entry.module);
    if (!(await tf.setBackend(entry.name))) throw new Error(`backend "${entry.name}" did not start`);
    await tf.ready();
    const version = (createRequire(import.meta.url)(`${entry.module}/package.json`) as { version: string }).version;
    return { name: entry.name, version: `${entry.module} ${version}` };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FedLoraError("engine-unavailable", `${engine}: ${reason.split("\n", 1)[0] ?? ""}`, { cause });
  } finally {
    if (typeof before === "string") await tf.setBackend(before);
  }
}

/** The binaries lie beside the package's code; by itself it looks for them beside the application. */
async function prepareWasm(module: string, threads: number): Promise<void> {
  const wasm = (await import("@tensorflow/tfjs-backend-wasm")) as {
    setWasmPaths(folder: string): void;
    setThreadsCount(count: number): void;
  };
  // The paths are fixed once the backend has started.
  if ("wasm" in tf.engine().registry) return;
  wasm.setWasmPaths(dirname(createRequire(import.meta.url).resolve(module)) + sep);
  wasm.setThreadsCount(threads);
}
