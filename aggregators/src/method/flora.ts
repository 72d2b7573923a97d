import { toStateDict } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import { z } from "zod";
import type {
  AggregationInput,
  AggregationResult,
  ContinuedAggregation,
  Method,
  MethodDefinition,
  MethodRun,
  SealedPasses,
} from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import type { AdapterGroup } from "../primitive/adapter-groups.js";
import { refused } from "../primitive/collect-mean.js";
import { denseProductPass } from "../primitive/dense-product.js";
import { freshA, zeroTensor } from "../primitive/fresh-factors.js";
import {
  deltaInstruction,
  everyCodec,
  rolesAtDepth,
  rolesOf,
  scalingOf,
  shared,
  tensorBytes,
} from "../primitive/method-parts.js";
import { deltaLayout, moduleOf, planDelta, writeFactors } from "../primitive/product-delta.js";
import type { DeltaPlan } from "../primitive/product-delta.js";
import { factorGroups, factorSizes, factorValues, productTermsPass, stackTerms } from "../primitive/product-terms.js";
import { collectRoster, rosterPasses } from "../primitive/roster.js";
import { usualEditingMethod } from "../primitive/usual-method.js";

const optionsSchema = z.strictObject({
  dense: z
    .boolean()
    .default(true)
    .describe("Send a module's change dense where that is smaller than the stack; default true."),
});
export type FLoraOptions = z.output<typeof optionsSchema>;

/**
 * FLoRA: stacking. The clients' factors are put side by side, A = [s p_1 A_1; ...; s p_m A_m] and B = [B_1 | ... | B_m],
 * so that the frozen weights change by exactly W0 += s sum_k p_k B_k A_k, whatever the ranks r_k; the stack has rank
 * sum_k r_k over the contributors of the round. Then all start again: A anew from the run's seed, the round and the
 * tensor's name, B zero. A client that does not hold a module counts with a product of zero. Heads are averaged.
 *
 * Where sum_k r_k (dIn + dOut) exceeds dIn dOut the change is written dense, if `dense` allows it.
 *
 * Paper: Wang et al., "FLoRA: Federated Fine-Tuning Large Language Models with Heterogeneous Low-Rank Adaptations",
 * NeurIPS 2024. Its public code sizes the stack by all clients instead of the round's, and tells A from B by comparing
 * sizes; re-implementations leave the scaling out.
 * Privacy: every client receives every other's factors as they are; no secure sums.
 */
export const flora: MethodDefinition<FLoraOptions> = {
  name: "flora",
  version: 1,
  paper: "FLoRA (Wang et al. 2024)",
  summary: "Stacks the clients' factors, of any rank, into the base weights and starts anew: exact.",
  optionsSchema,
  capabilities: {
    sees: "individual-updates",
    exact: true,
    ranks: "any",
    editsBase: true,
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
  },
  create: (options, run) => createFLora(options, run),
};

function createFLora(options: FLoraOptions, run: MethodRun): Method {
  const { adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  return {
    ...usualEditingMethod(flora, run),
    // What a codec left out is of no use in the next round: the factors begin anew each round.
    prepare: (_phase, { values }, { ranks }) => {
      // Once the base holds what was learnt, every module's adapter begins as no change: there is nothing to apply.
      const isFolded = values["editedBase"] === true;
      const roles = isFolded ? rolesOf(adapterLayout, ranks, () => shared) : rolesAtDepth(adapterLayout, ranks);
      return deltaInstruction(roles, { errorFeedback: false });
    },
    aggregate: (input) => ({
      passes: rosterPasses(groups, input),
      finish: (sealed) => stack({ options, run, groups, input }, sealed),
    }),
    baseDeltaBytes: (contributors) =>
      tensorBytes(
        deltaLayout(
          factorGroups(groups).map((group) =>
            planDelta(group, contributors * factorSizes(group.factors).rank, options.dense),
          ),
        ),
      ),
    factoredDeltas: !options.dense,
    bias: { kind: "none", why: "the stack is the weighted sum of the clients' products" },
  };
}

interface StackStage {
  readonly options: FLoraOptions;
  readonly run: MethodRun;
  readonly groups: readonly AdapterGroup[];
  readonly input: AggregationInput;
}

function stack(stage: StackStage, sealed: SealedPasses): AggregationResult | ContinuedAggregation {
  const { options, run, groups, input } = stage;
  const roster = collectRoster(sealed, input);
  if (roster.kind === "refused") return roster;
  const { contributors, totalWeight } = roster;
  const rankOf = ({ name }: AdapterGroup): number => roster.rankSum(name);
  const plans = factorGroups(groups).map((group) => planDelta(group, rankOf(group), options.dense));
  const layout = deltaLayout(plans);
  const result = {
    kind: "adapter" as const,
    global: startedAnew(stage, roster.global),
    state: { ...input.state, values: { ...input.state.values, editedBase: true } },
    metrics: { contributors, totalWeight, stackedRank: Math.max(0, ...groups.map(rankOf)) },
  };
  if (layout.length === 0) return { ...result, state: input.state, baseDelta: undefined };
  input.sink.open(layout);
  const factored = plans.filter(({ rank }) => rank !== undefined && rank > 0).map(({ group }) => group);
  const passes = [
    productTermsPass("stack", factored, {
      countAbsent: true,
      expected: contributors,
      seal(terms, group) {
        const { left, right } = stackTerms(terms, group.factors, factorValues(input.global, group.factors));
        return writeFactors(input.sink, moduleOf(group), left, right, scalingOf(run, moduleOf(group)));
      },
    }),
    denseProductPass("dense stack", {
      modules: plans.filter(({ rank }) => rank === undefined).map(({ group }) => group),
      from: input.global,
      sent: undefined,
      scalingOf: (module) => scalingOf(run, module),
      sink: input.sink,
    }),
  ];
  const { baseVersion, round } = input;
  return {
    kind: "continue",
    next: {
      passes,
      finish(written) {
        const flags = [...written.values()].flatMap((pass) => [...pass.values()]) as boolean[];
        if (!flags.every(Boolean)) return refused(`round ${round}: the stack is beyond float32`);
        return { ...result, baseDelta: { fromVersion: baseVersion, toVersion: baseVersion + 1 } };
      },
    },
  };
}

/** The adapter with every A drawn anew and every B zero. */
function startedAnew({ run, groups, input }: StackStage, global: StateDict): StateDict {
  const { seed } = run.spec.training;
  return toStateDict([
    ...global,
    ...factorGroups(groups).flatMap(({ factors: { a, b } }: DeltaPlan["group"]) => [
      [a.name, freshA(a, seed, "flora", input.round)] as const,
      [b.name, zeroTensor(b)] as const,
    ]),
  ]);
}
