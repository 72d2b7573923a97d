import * as tf from "@tensorflow/tfjs";
import { FedLoraError } from "@fedlora/core";
import { TraceBackend, traceBackendName } from "../trace-backend.js";
import { elementwiseKernels } from "./elementwise.js";
import type { TraceKernel } from "./kernel.js";
import { matrixKernels } from "./matrix.js";
import { reduceKernels } from "./reduce.js";
import { shapeKernels } from "./shape.js";

/** Registers the tracing backend and its kernels with tfjs, once per process. */
export function ensureTraceBackend(): TraceBackend {
  const known: unknown = tf.findBackend(traceBackendName);
  if (known instanceof TraceBackend) return known;
  const backend = new TraceBackend();
  const groups = [elementwiseKernels, reduceKernels, shapeKernels, matrixKernels];
  for (const [kernelName, kernel] of groups.flatMap((group) => Object.entries(group))) {
    tf.registerKernel({ kernelName, backendName: traceBackendName, kernelFunc: adapt(kernelName, kernel, backend) });
  }
  tf.registerBackend(traceBackendName, () => backend);
  return backend;
}

function adapt(kernelName: string, kernel: TraceKernel, backend: TraceBackend): tf.KernelFunc {
  return ({ inputs, attrs }) => {
    const given: Readonly<Record<string, tf.TensorInfo | undefined>> = inputs;
    return kernel({
      backend,
      attributes: attrs ?? {},
      inputs: Object.values(given).filter((value) => value !== undefined),
      input: (name) => {
        const value = given[name];
        if (value === undefined) throw new FedLoraError("internal", `kernel ${kernelName} without its input ${name}`);
        return value;
      },
    });
  };
}
