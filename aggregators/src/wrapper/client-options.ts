import { FedLoraError } from "@fedlora/core";
import type { Method, MethodRun } from "../method.js";
import { withControlVariates } from "./control-variates.js";
import { withProximal } from "./proximal.js";

/**
 * A method with the client options that the run spec asks for: FedProx (`training.proximalMu`) and SCAFFOLD
 * (`training.controlVariates`).
 *
 * @throws FedLoraError `spec-combination-refused` for control variates in a buffered run
 */
export function withClientOptions(method: Method, run: MethodRun): Method {
  const { proximalMu, controlVariates } = run.spec.training;
  const proximal = proximalMu === undefined ? method : withProximal(method, proximalMu);
  if (!controlVariates) return proximal;
  if (run.spec.policy.kind === "buffered") {
    const message = "training.controlVariates needs one plan of a client at a time (policy.kind synchronous)";
    throw new FedLoraError("spec-combination-refused", message, { details: { field: "policy.kind" } });
  }
  return withControlVariates(proximal, run);
}
