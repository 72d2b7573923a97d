import type { Method } from "../method.js";

/**
 * FedProx: clients that train add (mu / 2) ||w - w_received||^2 over the trained tensors to their loss; the aggregation is
 * the method's own. For LoRA it holds the factors, not their product: ||dA||^2 + ||dB||^2 is not ||BA - B0 A0||^2.
 *
 * Paper: Li et al., "Federated Optimization in Heterogeneous Networks", 2020.
 */
export function withProximal(method: Method, mu: number): Method {
  return {
    ...method,
    prepare(phase, state, client) {
      const instruction = method.prepare(phase, state, client);
      if (!instruction.roles.some((role) => role.trained)) return instruction;
      return { ...instruction, directives: [...instruction.directives, { kind: "proximal", version: 1, mu }] };
    },
  };
}
