import * as tf from "@tensorflow/tfjs";
import { FedLoraError } from "@fedlora/core";
import type { Value } from "../../models/ops.js";
import { tensorOf } from "../../models/ops/value.js";
import { runOnBackend } from "../eager/run-on-backend.js";
import type { Graph, GraphValue } from "./graph.js";
import { ensureTraceBackend } from "./kernels/register.js";
import { traceBackendName } from "./trace-backend.js";

export interface TraceRequest {
  readonly inputs: ReadonlyMap<string, GraphValue>;
  /** Shape of a weight by name; it becomes part of the graph when first asked for. */
  weightShape(name: string): readonly number[];
  run(input: (name: string) => Value, weight: (name: string) => Value): ReadonlyMap<string, Value>;
}

export interface Trace {
  readonly graph: Graph;
  /** Output name -> name of the graph value that it is. */
  readonly outputs: ReadonlyMap<string, string>;
}

/**
 * Records one call of a program as a graph.
 *
 * @throws FedLoraError `internal` where the program does what cannot be recorded: reads values, draws random numbers,
 *   uses a tensor of another backend or a kernel that the tracer does not know (the message names it)
 */
export function trace(request: TraceRequest): Trace {
  const backend = ensureTraceBackend();
  const outputs = new Map<string, string>();
  const graph = backend.record(() => {
    runOnBackend(traceBackendName, () => {
      withoutRandomness(() => {
        tf.tidy(() => {
          const tensors = new Map<string, tf.Tensor>();
          for (const [name, value] of request.inputs) {
            backend.graph.addInput(name, value);
            tensors.set(name, backend.tensor(name));
          }
          const weight = (name: string): Value => {
            const known = tensors.get(name);
            if (known !== undefined) return known;
            backend.graph.addWeight(name, request.weightShape(name));
            const tensor = tf.keep(backend.tensor(name));
            tensors.set(name, tensor);
            return tensor;
          };
          const input = (name: string): Value => {
            const tensor = tensors.get(name);
            if (tensor === undefined) throw new FedLoraError("internal", `the program has no input "${name}"`);
            return tensor;
          };
          const results = request.run(input, weight);
          for (const [name, value] of results) outputs.set(name, backend.nameOf(tensorOf(value)));
          for (const tensor of tensors.values()) tensor.dispose();
        });
      });
    });
  });
  return { graph, outputs };
}

/** What is random while tracing would be frozen in the graph for ever. */
function withoutRandomness(body: () => void): void {
  /* eslint-disable no-restricted-properties -- nothing is drawn here: tfjs's own generators are stopped */
  const draw = Math.random;
  Math.random = () => {
    throw new FedLoraError("internal", "a traced model drew random numbers; feed them as an input");
  };
  try {
    body();
  } finally {
    Math.random = draw;
  }
  /* eslint-enable no-restricted-properties */
}
