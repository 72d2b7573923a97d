import { plainLora, tensorKindOf } from "@fedlora/core";
import { z } from "zod";
import type { AggregationInput, Method, MethodDefinition, MethodRun, MethodRunState } from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { meanAggregation } from "../primitive/mean-aggregation.js";
import { deltaInstruction, everyCodec, frozen, rolesOf, shared } from "../primitive/method-parts.js";
import { orthonormalityError } from "../primitive/orthonormality.js";
import { ownerMeanPass } from "../primitive/owner-mean.js";
import { usualMethod } from "../primitive/usual-method.js";

const optionsSchema = z.strictObject({});
export type FedSbOptions = z.output<typeof optionsSchema>;

/**
 * Fed-SB: W = W0 + s B R A with B [dOut, rank] and A [rank, dIn] frozen and common to all; R [rank, rank] and the saved
 * heads are trained and averaged: sum_k p_k B R_k A = B (sum_k p_k R_k) A, so the aggregate is exact for any weights, and
 * rank^2 values travel per module, whatever its size. A and B travel once, by hash.
 *
 * With orthonormal B and A the gradient of R is the weight's, projected: no correction by (B^T B)^-1 is needed. How far the
 * factors are from orthonormal as they are sent is the metric `orthonormality`, measured once per run. Where they come
 * from says the run's `adapter.init`: `gradient` is the LoRA-SB initialisation.
 *
 * Mixed ranks: a client of rank r_k trains the leading block of R against the leading columns of B and rows of A, which a
 * LoRA-SB initialisation sorts by singular value; every entry is the mean of the changes over the clients that own it.
 *
 * Paper: Singhal et al., "Fed-SB: A Silver Bullet for Extreme Communication Efficiency and Performance in (Private)
 * Federated LoRA Fine-Tuning", 2025, after LoRA-SB (Ponkshe et al. 2024). Its public code averages without weights.
 * Privacy: needs only weighted sums; the model is affine in R, and orthonormal factors keep the norm of the noise.
 */
export const fedSb: MethodDefinition<FedSbOptions> = {
  name: "fed-sb",
  version: 1,
  paper: "Fed-SB (Singhal et al. 2025)",
  summary: "Freezes B and A, averages the small R between them and saved heads: exact, rank^2 values a module.",
  optionsSchema,
  capabilities: {
    sees: "sum",
    exact: true,
    ranks: "prefix",
    editsBase: false,
    toleratesStale: true,
    mergeable: true,
    personal: false,
    codecs: everyCodec,
    variants: ["latent"],
    serverOptimizers: true,
    clientOptions: ["proximal", "control-variates"],
    noise: "linear",
    privacyUnits: ["example", "client"],
    weightings: ["uniform", "by-examples"],
    evaluation: "global",
  },
  create: (_options, run) => createFedSb(run),
};

function createFedSb(run: MethodRun): Method {
  const { adapterLayout } = run;
  const isFrozen = (name: string): boolean => ["lora-a", "lora-b"].includes(tensorKindOf(name));
  const groups = adapterGroups(adapterLayout.filter(({ name }) => !isFrozen(name)));
  return {
    ...usualMethod(fedSb, run),
    prepare: (_phase, _state, { ranks }) =>
      deltaInstruction(rolesOf(adapterLayout, ranks, (_kind, { name }) => (isFrozen(name) ? frozen : shared))),
    aggregate(input) {
      const orthonormality = orthonormalityOf(input);
      const state: MethodRunState = { ...input.state, values: { ...input.state.values, orthonormality } };
      return meanAggregation(ownerMeanPass("mean", groups, input.global), input, {
        state,
        metrics: { orthonormality },
      });
    },
    toPlainLora: plainLora,
    bias: { kind: "none", why: "A and B are common to all clients, and the product is linear in R" },
  };
}

/** The factors never change, and the first round has looked at them: each entry costs a product of two long rows. */
function orthonormalityOf({ state, global }: AggregationInput): number {
  const known = state.values["orthonormality"];
  return typeof known === "number" ? known : orthonormalityError(global);
}
