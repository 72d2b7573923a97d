import { FedLoraError, firstNonFinite, moduleOfTensor, tensorKindOf, toStateDict } from "@fedlora/core";
import { z } from "zod";
import type {
  Aggregation,
  AggregationInput,
  AggregationResult,
  Method,
  MethodCapabilities,
  MethodDefinition,
  MethodRun,
  SealedPasses,
} from "../method.js";
import { adapterGroups } from "./adapter-groups.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { refused } from "./collect-mean.js";
import { deltaInstruction, everyCodec, frozen, rolesOf, scalingOf, shared } from "./method-parts.js";
import type { Combined } from "./robust-combine.js";
import type { SamplesOptions } from "./robust-samples.js";
import { usualMethod } from "./usual-method.js";

export const factorOption = z
  .enum(["both", "b"])
  .default("both")
  .describe(
    "What clients train: both factors, compared and combined as products B A; or b alone, A frozen as in FFA-LoRA, where every rule is exact in the run's rank; default both.",
  );

export const byzantineOption = z
  .int()
  .min(0)
  .max(10_000)
  .default(1)
  .describe("Updates of a round that may be hostile, f; 0 to 10000, default 1.");

/** What the robust rules have in common: they compare single updates, so sums are not enough. */
export const robustCapabilities: MethodCapabilities = {
  sees: "individual-updates",
  exact: false,
  ranks: "equal",
  editsBase: false,
  toleratesStale: false,
  mergeable: true,
  personal: false,
  codecs: everyCodec,
  variants: ["lora", "rslora"],
  serverOptimizers: false,
  clientOptions: ["proximal"],
  noise: "products",
  privacyUnits: ["example"],
  weightings: ["uniform", "by-examples"],
  evaluation: "global",
};

/** What a rule works with in one round. */
export interface RobustRound {
  readonly run: MethodRun;
  readonly input: AggregationInput;
  readonly groups: readonly AdapterGroup[];
  readonly reading: Pick<SamplesOptions<AdapterGroup, unknown>, "tensorsOf" | "expected">;
}

/** A robust rule as a method: `aggregate` is all that differs. */
export function createRobustMethod(
  definition: MethodDefinition,
  run: MethodRun,
  factor: z.output<typeof factorOption>,
  aggregate: (round: RobustRound) => Aggregation,
): Method {
  const { spec, adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  const travels = (name: string): boolean => factor === "both" || tensorKindOf(name) !== "lora-a";
  const reading = {
    tensorsOf: ({ tensors }: AdapterGroup) => tensors.filter(({ name }) => travels(name)),
    expected: Math.ceil(spec.cohort.size * spec.cohort.overSelection),
  };
  return {
    ...usualMethod(definition, run),
    // A rule drops or cuts updates, so what a codec left out of the last one is no debt; where the product is decomposed
    // anew, it would not even be in the same basis.
    prepare: (_phase, _state, { ranks }) =>
      deltaInstruction(
        rolesOf(adapterLayout, ranks, (_kind, { name }) => (travels(name) ? shared : frozen)),
        { errorFeedback: false },
      ),
    aggregate: (input) => aggregate({ run, input, groups, reading }),
    bias: { kind: "none", why: "it does not aim at the clients' mean" },
  };
}

/**
 * Refuses a run whose rounds can have fewer updates than the rule needs.
 *
 * @throws FedLoraError `spec-combination-refused` naming the field
 */
export function assertEnoughUpdates({ spec: { cohort } }: MethodRun, method: string, needed: number): void {
  const refuse = (field: string, got: number): never => {
    const message = `method "${method}" needs at least ${needed} updates a round with these options; ${field} is ${got}`;
    throw new FedLoraError("spec-combination-refused", message, { details: { method, field } });
  };
  if (cohort.size < needed) refuse("cohort.size", cohort.size);
  if (cohort.quorum !== undefined && cohort.quorum < needed) refuse("cohort.quorum", cohort.quorum);
}

/** The new global adapter from a pass of combined groups, with what the rank leaves out, over all modules, scaling included. */
export function finishCombined(
  sealed: SealedPasses,
  pass: string,
  { run, input, groups }: RobustRound,
  metrics: Readonly<Record<string, number>>,
): AggregationResult {
  const combined = (sealed.get(pass) ?? new Map()) as ReadonlyMap<string, Combined | undefined>;
  const tensors = groups.flatMap(({ name }) => [...(combined.get(name)?.tensors ?? [])]);
  if (tensors.length === 0) return refused(noUpdates(input));
  const overflown = tensors.find(([, tensor]) => firstNonFinite(tensor) >= 0);
  if (overflown !== undefined) return refused(`round ${input.round}: "${overflown[0]}" is beyond float32`);
  let square = 0;
  let leftOut = 0;
  for (const { name, factors } of groups) {
    const part = combined.get(name);
    const scaling = factors === undefined ? 0 : scalingOf(run, moduleOfTensor(factors.a.name)) ** 2;
    square += scaling * (part?.square ?? 0);
    leftOut += scaling * (part?.leftOut ?? 0);
  }
  return {
    kind: "adapter",
    global: toStateDict([...input.global, ...tensors]),
    state: input.state,
    baseDelta: undefined,
    metrics: {
      contributors: Math.max(...groups.map(({ name }) => combined.get(name)?.contributors ?? 0)),
      ...metrics,
      truncationError: Math.sqrt(leftOut),
      truncationShare: leftOut === 0 ? 0 : Math.sqrt(leftOut / square),
    },
  };
}

export const noUpdates = ({ round }: AggregationInput): string =>
  `round ${round}: no update with a weight above 0 to aggregate`;
