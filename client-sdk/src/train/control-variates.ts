import { clientControlName, FedLoraError, fromFloat32, serverControlName, toFloat32, toStateDict } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";

/** What a client needs to correct its drift: c - c_k of every trained tensor that has controls, F32. */
export function controlOffsets(trained: Iterable<string>, start: StateDict): StateDict {
  return toStateDict(
    controlled(trained, start).map((name) => {
      const own = valuesOf(start, clientControlName(name));
      const offsets = valuesOf(start, serverControlName(name)).map((value, i) => value - (own[i] ?? 0));
      return [name, fromFloat32(offsets, shapeOf(start, name))];
    }),
  );
}

/**
 * The client's new controls, option II: c_k' = c_k - c + (x - y) / (K eta), where x is what the client received, y what it
 * trained, K its steps and eta the tensor's learning rate, the same at each. Taken in float64 and rounded once.
 *
 * Paper: Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", 2020.
 *
 * @param start values that the round started from, controls included
 */
export function newControls(
  trained: StateDict,
  start: StateDict,
  numSteps: number,
  learningRates: Readonly<Record<string, number>>,
): StateDict {
  return toStateDict(
    controlled(trained.keys(), start).map((name) => {
      const moved = numSteps * (learningRates[name] ?? 0);
      if (!(moved > 0)) throw new FedLoraError("request-invalid", `tensor "${name}" has a control, but never moved`);
      const received = valuesOf(start, name);
      const result = valuesOf(trained, name);
      const global = valuesOf(start, serverControlName(name));
      const own = valuesOf(start, clientControlName(name));
      const next = own.map((value, i) => value - (global[i] ?? 0) + ((received[i] ?? 0) - (result[i] ?? 0)) / moved);
      return [clientControlName(name), fromFloat32(next, shapeOf(start, name))];
    }),
  );
}

function controlled(trained: Iterable<string>, start: StateDict): readonly string[] {
  return [...trained].filter((name) => start.has(serverControlName(name)) && start.has(clientControlName(name)));
}

function valuesOf(state: StateDict, name: string): Float32Array {
  const tensor = state.get(name);
  if (tensor === undefined) throw new FedLoraError("adapter-invalid", `tensor "${name}" is missing`);
  return toFloat32(tensor);
}

const shapeOf = (state: StateDict, name: string): readonly number[] => state.get(name)?.shape ?? [];
