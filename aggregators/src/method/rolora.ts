import { tensorKindOf } from "@fedlora/core";
import type { TensorKind } from "@fedlora/core";
import { z } from "zod";
import type { Method, MethodDefinition, MethodRun } from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { meanAggregation } from "../primitive/mean-aggregation.js";
import {
  bytesPerRound,
  deltaInstruction,
  everyCodec,
  frozen,
  rolesOf,
  shared,
  tensorBytes,
} from "../primitive/method-parts.js";
import type { RoleFlags } from "../primitive/method-parts.js";
import { usualMethod } from "../primitive/usual-method.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";

const optionsSchema = z.strictObject({});
export type RoLoraOptions = z.output<typeof optionsSchema>;

const phases = { "train-b": "lora-b", "train-a": "lora-a" } as const;
type Phase = keyof typeof phases;

/** Trained from the value that is known by its hash: whoever took part in the round before has it already. */
const trainedByHash: RoleFlags = { ...shared, downloaded: false };

/**
 * RoLoRA: odd rounds train and average B [dOut, rank] under a common, frozen A; even rounds train and average A [rank, dIn]
 * under a common, frozen B. So each round's mean is exact: sum_k p_k B_k A = (sum_k p_k B_k) A, and likewise for A. B is
 * first because A's gradient is zero while B is. Saved heads are trained and averaged in every round.
 *
 * Both factors travel in blobs of their own that are named by their hash: a client that took part in the round before
 * downloads only the factor that changed since, one that missed rounds both. An update of the other parity has another
 * layout, and one of an earlier round no weight, so neither passes intake.
 *
 * Paper: Chen et al., "Robust Federated Finetuning of LLMs via Alternating Optimization of LoRA" (RoLoRA), NeurIPS 2025.
 * Privacy: needs only the weighted sum; noise enters each round linearly, over the rounds in both factors.
 */
export const rolora: MethodDefinition<RoLoraOptions> = {
  name: "rolora",
  version: 1,
  paper: "RoLoRA (Chen et al. 2025)",
  summary: "Trains and averages LoRA B in odd rounds, LoRA A in even ones: exact in each, and half the bytes.",
  optionsSchema,
  capabilities: {
    sees: "sum",
    exact: true,
    ranks: "equal",
    editsBase: false,
    toleratesStale: false,
    mergeable: true,
    personal: false,
    codecs: everyCodec,
    variants: ["lora", "rslora"],
    serverOptimizers: true,
    clientOptions: ["proximal"],
    noise: "linear",
    privacyUnits: ["example", "client"],
    weightings: ["uniform", "by-examples"],
    evaluation: "global",
  },
  create: (_options, run) => createRoLora(run),
};

function createRoLora(run: MethodRun): Method {
  const { spec, adapterLayout } = run;
  const isTrained = (phase: string, kind: TensorKind): boolean => kind === "head" || kind === phases[phase as Phase];
  const groups = (phase: string) =>
    adapterGroups(adapterLayout.filter(({ name }) => isTrained(phase, tensorKindOf(name))));
  const flagsOf = (phase: string, kind: TensorKind): RoleFlags => {
    if (kind === "head") return shared;
    return isTrained(phase, kind) ? trainedByHash : frozen;
  };
  return {
    ...usualMethod(rolora, run),
    phase: (_state, round): Phase => (round % 2 === 1 ? "train-b" : "train-a"),
    prepare: (phase, _state, { ranks }) =>
      deltaInstruction(rolesOf(adapterLayout, ranks, (kind) => flagsOf(phase, kind))),
    aggregate: (input) => meanAggregation(weightedMeanPass("mean", groups(input.phase), input.global), input),
    bytes(instruction) {
      const { down, up } = bytesPerRound(instruction, spec);
      // The factor that the round before changed is the one that this round does not train.
      const changed = instruction.roles.filter(({ trained }) => !trained).map((role) => role.spec);
      return { down: down + tensorBytes(changed), up };
    },
    bias: { kind: "none", why: "one factor is common to all clients in every round" },
  };
}
