import type { PlanInstructions, RunSpec, TensorLayout } from "@fedlora/core";

/**
 * What a trainer is told outside of any round: nothing is uploaded, and a schedule ends with this one training.
 *
 * @param layout the whole adapter's
 * @param isTrained whether a tensor moves; default: all do
 */
export function localInstructions(
  { task, adapter, training }: Pick<RunSpec, "task" | "adapter" | "training">,
  layout: TensorLayout,
  isTrained: (name: string) => boolean = () => true,
): PlanInstructions {
  return {
    format: "fedlora-instructions/1",
    task,
    adapter,
    training,
    roles: layout.map((spec) => ({
      spec,
      trained: isTrained(spec.name),
      uploaded: false,
      downloaded: true,
      keep: "none",
    })),
    updateForm: "value",
    uploadLayout: [],
    codec: "f32",
    directives: [],
    keepOptimizerState: false,
    seed: training.seed,
    rounds: 1,
  };
}
