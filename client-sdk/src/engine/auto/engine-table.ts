import type { EngineName } from "../engine.js";

export interface EngineRow {
  readonly engine: EngineName;
  readonly packageName: string;
  /** For people. */
  readonly device: string;
}

/** Every engine, the ones expected to be fastest first; `auto` goes through them in this order. */
export const engineTable: readonly EngineRow[] = [
  { engine: "onnxruntime-cuda", packageName: "onnxruntime-node", device: "NVIDIA GPU" },
  { engine: "onnxruntime-webgpu", packageName: "onnxruntime-node", device: "GPU" },
  { engine: "onnxruntime-cpu", packageName: "onnxruntime-node", device: "CPU" },
  { engine: "tfjs-node-gpu", packageName: "@tensorflow/tfjs-node-gpu", device: "NVIDIA GPU" },
  { engine: "onnxruntime-web", packageName: "onnxruntime-web", device: "CPU, WebAssembly" },
  { engine: "tfjs-node", packageName: "@tensorflow/tfjs-node", device: "CPU" },
  { engine: "tfjs-wasm", packageName: "@tensorflow/tfjs-backend-wasm", device: "CPU, WebAssembly" },
  { engine: "tfjs-cpu", packageName: "@tensorflow/tfjs", device: "CPU, JavaScript" },
];
