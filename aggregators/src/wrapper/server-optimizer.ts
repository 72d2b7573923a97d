import { copyFloat32, fromFloat32, toFloat32, toStateDict } from "@fedlora/core";
import type { ServerOptimizerSpec, StateDict, Tensor } from "@fedlora/core";
import type { Aggregation, AggregationInput, Method } from "../method.js";
import { tensorOf } from "../primitive/method-parts.js";
import { onInnerState, splitState, withOwnState } from "./own-state.js";
import { serverOptimizerStep } from "./server-optimizer-step.js";
import type { ServerOptimizer } from "./server-optimizer-step.js";

const prefix = "server.";
const momentName = (moment: "m" | "v", name: string): string => `${prefix}${moment}.${name}`;

/**
 * A method with a server optimizer between what it aggregates and what is sent (FedOpt). The moments are tensors of the
 * run state, `server.m.NAME` and `server.v.NAME`, float32, of every tensor by itself: A and B have different scales. They
 * are read from the state that a round starts with and returned with its result, so a round that is aggregated again
 * after a crash takes the same step. A tensor that the round did not aggregate keeps its value and its moments.
 *
 * Element-wise steps on A and on B act on the factors, not on the product: methods with an exact aggregate stay exact
 * only where one factor travels, or where what depends on the factors sent is computed after the step.
 */
export function withServerOptimizer(method: Method, spec: ServerOptimizerSpec): Method {
  if (spec.kind === "none") return method;
  return {
    ...onInnerState(method, prefix),
    aggregate(input) {
      const state = splitState(input.state, prefix);
      const moments = new Map(state.own.tensors);
      const serverStep = (aggregated: StateDict): StateDict =>
        takeStep(spec, { global: input.global, aggregated, before: state.own.tensors, moments });
      const stepped: AggregationInput = { ...input, state: state.inner, serverStep };
      return withMoments(method.aggregate(stepped), moments);
    },
  };
}

function takeStep(
  spec: ServerOptimizer,
  round: {
    readonly global: StateDict;
    readonly aggregated: StateDict;
    readonly before: StateDict;
    /** Where the new moments go. */
    readonly moments: Map<string, Tensor>;
  },
): StateDict {
  const { global, aggregated, before, moments } = round;
  return toStateDict(
    [...aggregated].map(([name, tensor]) => {
      const values = copyFloat32(tensorOf(global, name));
      const first = momentOf(before, momentName("m", name), values.length);
      const second = momentOf(before, momentName("v", name), values.length);
      serverOptimizerStep(spec, { values, aggregated: toFloat32(tensor), first, second });
      moments.set(momentName("m", name), fromFloat32(first, tensor.shape));
      if (spec.kind !== "fedavgm") moments.set(momentName("v", name), fromFloat32(second, tensor.shape));
      return [name, fromFloat32(values, tensor.shape)];
    }),
  );
}

function momentOf(state: StateDict, name: string, length: number): Float32Array {
  const tensor = state.get(name);
  return tensor === undefined ? new Float32Array(length) : copyFloat32(tensor);
}

function withMoments(aggregation: Aggregation, moments: StateDict): Aggregation {
  return {
    passes: aggregation.passes,
    finish(sealed) {
      const result = aggregation.finish(sealed);
      if (result.kind === "continue") return { kind: "continue", next: withMoments(result.next, moments) };
      if (result.kind === "refused") return result;
      return { ...result, state: withOwnState(result.state, { values: {}, tensors: moments }) };
    },
  };
}
