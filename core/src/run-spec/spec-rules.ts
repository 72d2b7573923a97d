import type { z } from "zod";
import type { AdapterSpec } from "./adapter-schema.js";
import type { RunSpec } from "./schema.js";
import type { TrainingSpec } from "./training-schema.js";

/** A rule between fields: where it is broken, the field at `path` is named with the error. */
export interface SpecRule<Spec> {
  readonly path: readonly string[];
  readonly error: string;
  readonly holds: (spec: Spec) => boolean;
}

/** Rounds that the initialisation of the adapter takes, in which nothing is trained. */
const initRounds = ({ init }: AdapterSpec): number =>
  init.kind === "gradient" ? 1 : init.kind === "activation" ? init.iterations : 0;

export const trainingRules: readonly SpecRule<TrainingSpec>[] = [
  {
    path: ["localEpochs"],
    error: "give localSteps or localEpochs, not both",
    holds: ({ localSteps, localEpochs }) => localSteps === undefined || localEpochs === undefined,
  },
  {
    path: ["optimizer", "momentum"],
    error: "goes with optimizer.kind sgd; adamw has beta1",
    holds: ({ optimizer: { kind, momentum } }) => kind === "sgd" || momentum === 0,
  },
  {
    path: ["controlVariates"],
    error: "SCAFFOLD's estimate of a client's gradient holds for optimizer.kind sgd with momentum 0 only",
    holds: ({ controlVariates, optimizer: { kind, momentum } }) =>
      !controlVariates || (kind === "sgd" && momentum === 0),
  },
  {
    path: ["controlVariates"],
    error: "SCAFFOLD's estimate of a client's gradient needs one learning rate: schedule.kind constant, warmupSteps 0",
    holds: ({ controlVariates, schedule: { kind, warmupSteps } }) =>
      !controlVariates || (kind === "constant" && warmupSteps === 0),
  },
];

export const adapterRules: readonly SpecRule<AdapterSpec>[] = [
  {
    path: ["layers"],
    error: "goes with a list of targetModules, not with a text",
    holds: ({ layers, targetModules }) => layers === undefined || typeof targetModules !== "string",
  },
  {
    path: ["init", "kind"],
    error: "gradient makes the frozen B and A of LoRA-SB: it needs adapter.variant latent",
    holds: ({ init, variant }) => init.kind !== "gradient" || variant === "latent",
  },
  {
    path: ["init", "kind"],
    error: "activation makes a trained A (EVA): it needs adapter.variant lora",
    holds: ({ init, variant }) => init.kind !== "activation" || variant === "lora",
  },
  {
    path: ["init", "subtracted"],
    error: "takes the starting product B A out of the base weights (PiSSA): it needs adapter.variant lora",
    holds: ({ init, variant }) => init.kind !== "file" || !init.subtracted || variant === "lora",
  },
];

export const runRules: readonly SpecRule<RunSpec>[] = [
  {
    path: ["evaluation", "metric"],
    error: "needs a classification task",
    holds: ({ task, evaluation }) => evaluation.metric === "loss" || task.kind === "sequence-classification",
  },
  {
    path: ["evaluation", "target"],
    error: "is out of the metric's range",
    holds: ({ evaluation: { metric, target } }) =>
      target === undefined || (target >= 0 && (metric === "loss" || target <= 1)),
  },
  {
    path: ["evaluation", "target"],
    error: "is never measured, since evaluation.every is 0",
    holds: ({ evaluation: { every, target } }) => target === undefined || every > 0,
  },
  {
    path: ["training", "optimizer", "loraPlusRatio"],
    error: "needs adapter.variant lora, where B and A are trained",
    holds: ({ adapter, training }) => adapter.variant === "lora" || training.optimizer.loraPlusRatio === 1,
  },
  {
    path: ["policy", "bufferSize"],
    error: "is larger than cohort.size, the number of clients that train at a time: no round would end",
    holds: ({ policy, cohort }) => policy.kind !== "buffered" || policy.bufferSize <= cohort.size,
  },
  {
    path: ["policy", "kind"],
    error:
      "buffered needs an adapter.init that takes no rounds (seeded, file): sketches of other rounds cannot be summed",
    holds: ({ policy, adapter }) => policy.kind === "synchronous" || initRounds(adapter) === 0,
  },
  {
    path: ["rounds"],
    error: "must be more than adapter.init takes: nothing would be trained",
    holds: ({ rounds, adapter }) => initRounds(adapter) === 0 || rounds > initRounds(adapter),
  },
];

/** For `superRefine`. */
export function checkRules<Spec>(rules: readonly SpecRule<Spec>[]): (spec: Spec, context: z.RefinementCtx) => void {
  return (spec, context) => {
    for (const { path, error, holds } of rules) {
      if (!holds(spec)) context.addIssue({ code: "custom", path: [...path], message: error });
    }
  };
}
