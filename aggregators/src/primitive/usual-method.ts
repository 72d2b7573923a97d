import type { Method, MethodDefinition, MethodRun } from "../method.js";
import {
  bytesPerRound,
  deltaInstruction,
  freshOnly,
  projectLeading,
  rolesOf,
  shared,
  staleAllowed,
} from "./method-parts.js";

/** What is left for a method to say. */
type UsualMethod = Omit<Method, "aggregate" | "bias">;

/**
 * The answers that most methods give, to be spread into a method and replaced where it differs: one phase, `train`, in which
 * every tensor of the adapter is trained and travels both ways as a delta, in the shapes of the client's ranks; no state of
 * its own; stale updates as the declaration says; a plain PEFT export.
 */
export function usualMethod(definition: MethodDefinition, { spec, adapterLayout }: MethodRun): UsualMethod {
  const intake = definition.capabilities.toleratesStale ? staleAllowed : freshOnly;
  return {
    definition,
    initialState: () => ({ version: definition.version, values: {}, tensors: new Map() }),
    phase: () => "train",
    prepare: (_phase, _state, { ranks }) => deltaInstruction(rolesOf(adapterLayout, ranks, () => shared)),
    clientState: () => undefined,
    intake: (instruction, baseVersion) => intake(instruction, spec, baseVersion),
    projectFor: projectLeading,
    bytes: (instruction) => bytesPerRound(instruction, spec),
    exports: () => ["peft"],
  };
}

/** As `usualMethod`, for methods that change the base weights: `editedBase` of the run state says whether one did. */
export function usualEditingMethod(definition: MethodDefinition, run: MethodRun): UsualMethod {
  return {
    ...usualMethod(definition, run),
    initialState: () => ({ version: definition.version, values: { editedBase: false }, tensors: new Map() }),
    exports: ({ values }) =>
      values["editedBase"] === true ? ["stacked", "truncated", "merged"] : ["peft", "truncated", "merged"],
  };
}
