import { loraKeys, type Directive, type DirectiveKind, type PlanInstructions, type StateDict } from "@fedlora/core";
import type { SlotSpec, TailPenalty } from "../engine/engine.js";
import type { AdapterPlan } from "../lora/adapter-plan.js";
import { controlOffsets } from "./control-variates.js";

export function directiveOf<Kind extends DirectiveKind>(
  { directives }: Pick<PlanInstructions, "directives">,
  kind: Kind,
): Extract<Directive, { kind: Kind }> | undefined {
  return directives.find((directive): directive is Extract<Directive, { kind: Kind }> => directive.kind === kind);
}

/**
 * What the directives ask of the slot that is trained in.
 *
 * @param start values of all the plan's roles, controls included
 */
export function slotDirectives(
  instructions: PlanInstructions,
  adapter: AdapterPlan,
  start: StateDict,
): Pick<SlotSpec, "gradientOffsets" | "tailPenalties"> {
  const penalty = directiveOf(instructions, "rank-penalty");
  return {
    ...(directiveOf(instructions, "control-variate") && {
      gradientOffsets: controlOffsets(adapter.trained.keys(), start),
    }),
    ...(penalty && { tailPenalties: tailPenalties(penalty, adapter) }),
  };
}

function tailPenalties({ lambda, gamma }: Extract<Directive, { kind: "rank-penalty" }>, { adapted }: AdapterPlan) {
  return adapted
    .filter(({ trained }) => trained)
    .map(({ name, rank }): TailPenalty => ({ ...loraKeys(name), from: Math.floor(gamma * rank), lambda }));
}

/**
 * Trained tensors that a step leaves as they are: in the first steps of a client without kept values, all that it does not
 * keep for the run.
 *
 * @param step optimizer steps of the round before this one
 */
export function heldTensors(instructions: PlanInstructions, isNewcomer: boolean, step: number): readonly string[] {
  const warmUp = directiveOf(instructions, "warm-up");
  if (warmUp === undefined || !isNewcomer || step >= warmUp.steps) return [];
  return instructions.roles.filter(({ trained, keep }) => trained && keep !== "run").map(({ spec }) => spec.name);
}
