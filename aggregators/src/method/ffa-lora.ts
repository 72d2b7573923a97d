import { tensorKindOf } from "@fedlora/core";
import { z } from "zod";
import type { Method, MethodDefinition, MethodRun } from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { meanAggregation } from "../primitive/mean-aggregation.js";
import { deltaInstruction, everyCodec, frozen, rolesOf, shared } from "../primitive/method-parts.js";
import { ownerMeanPass } from "../primitive/owner-mean.js";
import { usualMethod } from "../primitive/usual-method.js";

const optionsSchema = z.strictObject({});
export type FfaLoraOptions = z.output<typeof optionsSchema>;

/**
 * FFA-LoRA: A is random, the same for all clients and frozen; B [dOut, rank] and the saved heads are trained and averaged:
 * sum_k p_k (B_k A0) = (sum_k p_k B_k) A0, so the aggregate is exact for any weights.
 *
 * A0 is that of round 0: each module's from a random stream of its own, derived from the run's seed and the tensor's name,
 * so no two modules share one. It travels once, in a blob named by its hash, which clients verify.
 *
 * Mixed ranks (not in the paper): a client of rank r_k trains the first r_k columns of B against the first r_k rows of A0;
 * each column is the mean over the clients that own it, and one that nobody owns stays as it was.
 *
 * Paper: Sun et al., "Improving LoRA in Privacy-preserving Federated Learning" (FFA-LoRA), ICLR 2024.
 * Privacy: needs only weighted sums (with mixed ranks, one per column); the model is affine in B, so noise stays linear.
 */
export const ffaLora: MethodDefinition<FfaLoraOptions> = {
  name: "ffa-lora",
  version: 1,
  paper: "FFA-LoRA (Sun et al. 2024)",
  summary: "Freezes a random LoRA A, averages LoRA B and saved heads: exact, and half the bytes.",
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
    variants: ["lora", "rslora"],
    serverOptimizers: true,
    clientOptions: ["proximal", "control-variates"],
    noise: "linear",
    privacyUnits: ["example", "client"],
    weightings: ["uniform", "by-examples"],
    evaluation: "global",
  },
  create: (_options, run) => createFfaLora(run),
};

function createFfaLora(run: MethodRun): Method {
  const { adapterLayout } = run;
  const groups = adapterGroups(adapterLayout.filter(({ name }) => tensorKindOf(name) !== "lora-a"));
  return {
    ...usualMethod(ffaLora, run),
    prepare: (_phase, _state, { ranks }) =>
      deltaInstruction(rolesOf(adapterLayout, ranks, (kind) => (kind === "lora-a" ? frozen : shared))),
    aggregate: (input) => meanAggregation(ownerMeanPass("mean", groups, input.global), input),
    bias: { kind: "none", why: "A is common to all clients, so the mean of the products is the product of the mean" },
  };
}
