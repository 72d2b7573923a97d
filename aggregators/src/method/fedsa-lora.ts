import { tensorKindOf } from "@fedlora/core";
import type { TensorKind } from "@fedlora/core";
import { z } from "zod";
import type { Method, MethodDefinition, MethodRun } from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { meanAggregation } from "../primitive/mean-aggregation.js";
import type { RoleFlags } from "../primitive/method-parts.js";
import { deltaInstruction, everyCodec, frozen, personal, rolesOf, shared } from "../primitive/method-parts.js";
import { usualMethod } from "../primitive/usual-method.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";

const optionsSchema = z.strictObject({
  warmUpSteps: z
    .int()
    .min(0)
    .max(10_000)
    .default(5)
    .describe(
      "Steps in which a client without a B of its own trains only what it keeps, before A moves; 0 to 10000, default 5.",
    ),
});
export type FedSaLoraOptions = z.output<typeof optionsSchema>;

/** What a tensor is to this method, by variant: the A side travels, the B side and the heads stay. */
const flags: Readonly<Record<"lora" | "vera", Readonly<Record<TensorKind, RoleFlags>>>> = {
  lora: {
    "lora-a": shared,
    "lora-b": personal,
    head: personal,
    "lora-r": frozen,
    "vera-d": frozen,
    "vera-b": frozen,
  },
  vera: {
    "lora-a": frozen,
    "lora-b": frozen,
    head: personal,
    "lora-r": frozen,
    "vera-d": shared,
    "vera-b": personal,
  },
};

/**
 * FedSA-LoRA: A [rank, dIn] is shared and averaged, B [dOut, rank] and the saved heads never leave the client. The model of
 * client k is W0 + s B_k Abar; there is no global B. Only the scaling differs with rsLoRA. With VeRA,
 * s diag(vera_lambda_b) B diag(vera_lambda_d) A with frozen A and B, `vera_lambda_d` [rank] is what is shared and
 * `vera_lambda_b` [dOut] what stays.
 *
 * A newcomer, or a client that lost its state, begins with round 0's B (zero, so A's gradient is zero too) and heads; the
 * directive `warm-up` lets it train those first, so that what it sends of A is fitted to a B. A client that skipped rounds
 * goes on with its B under the newest A. Evaluation is each client's own model on its own data.
 *
 * Paper: Guo et al., "Selective Aggregation for Low-Rank Adaptation in Federated Learning" (FedSA-LoRA), ICLR 2025; that
 * VeRA shares `vera_lambda_d` follows its public code. Warm-up is an addition.
 * Privacy: needs only the weighted sum; noise on A enters a client's weight linearly, through its own B.
 */
export const fedsaLora: MethodDefinition<FedSaLoraOptions> = {
  name: "fedsa-lora",
  version: 1,
  paper: "FedSA-LoRA (Guo et al. 2025)",
  summary: "Averages LoRA A; LoRA B and saved heads stay on each client: a personal model per client.",
  optionsSchema,
  capabilities: {
    sees: "sum",
    exact: false,
    ranks: "equal",
    editsBase: false,
    toleratesStale: false,
    mergeable: true,
    personal: true,
    codecs: everyCodec,
    variants: ["lora", "rslora", "vera"],
    serverOptimizers: true,
    clientOptions: ["proximal", "control-variates"],
    noise: "linear",
    privacyUnits: ["example", "client"],
    weightings: ["uniform", "by-examples"],
    evaluation: "per-client",
  },
  create: (options, run) => createFedSaLora(options, run),
};

function createFedSaLora({ warmUpSteps }: FedSaLoraOptions, run: MethodRun): Method {
  const { spec, adapterLayout } = run;
  const byKind = flags[spec.adapter.variant === "vera" ? "vera" : "lora"];
  const flagsOf = (name: string): RoleFlags => byKind[tensorKindOf(name)];
  const groups = adapterGroups(adapterLayout.filter(({ name }) => flagsOf(name).uploaded));
  const directives = warmUpSteps === 0 ? [] : [{ kind: "warm-up", version: 1, steps: warmUpSteps } as const];
  return {
    ...usualMethod(fedsaLora, run),
    prepare: (_phase, _state, { ranks }) =>
      deltaInstruction(
        rolesOf(adapterLayout, ranks, (kind) => byKind[kind]),
        { directives },
      ),
    clientState: () => ({
      tensors: adapterLayout.filter(({ name }) => flagsOf(name).keep === "run"),
      scope: "run",
      whenLost: "start-from-init",
      newcomers: warmUpSteps === 0 ? "none" : "warm-up",
    }),
    aggregate: (input) => meanAggregation(weightedMeanPass("mean", groups, input.global), input),
    exports: () => [],
    bias: { kind: "unmeasurable", why: "there is no global B: every client has a model of its own" },
  };
}
