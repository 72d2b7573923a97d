import { codecOf } from "@fedlora/core";
import type { PlanInstructions, RunSpec } from "@fedlora/core";
import type { ClientInstruction, Method } from "./method.js";

/** What a client is told of a method's instruction, as it travels; without what a round adds (privacy). */
export function planInstructions(spec: RunSpec, method: Method, instruction: ClientInstruction): PlanInstructions {
  const { codec = spec.codec, errorFeedback = spec.errorFeedback } = instruction;
  return {
    format: "fedlora-instructions/1",
    task: spec.task,
    adapter: spec.adapter,
    training: spec.training,
    roles: instruction.roles,
    updateForm: instruction.updateForm,
    uploadLayout: method.intake(instruction, 0).layout,
    codec,
    downloadCodec: instruction.downloadCodec,
    errorFeedback: errorFeedback && codecOf(codec).isLossy ? true : undefined,
    directives: instruction.directives,
    keepOptimizerState: instruction.keepOptimizerState,
    seed: spec.training.seed,
    rounds: spec.rounds,
  };
}
