import { z } from "zod";
import type {
  AggregationInput,
  AggregationResult,
  Method,
  MethodDefinition,
  MethodRun,
  SealedPasses,
} from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { factorBiasPass, relativeBias } from "../primitive/factor-bias.js";
import type { FactorBias } from "../primitive/factor-bias.js";
import { collectMean } from "../primitive/collect-mean.js";
import {
  bytesPerRound,
  deltaInstruction,
  everyCodec,
  freshOnly,
  projectLeading,
  rolesOf,
  shared,
} from "../primitive/method-parts.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";

const optionsSchema = z.strictObject({
  biasClients: z
    .int()
    .min(0)
    .max(32)
    .default(32)
    .describe("Updates that the aggregation bias is measured on each round; 0 to 32, 0 switches it off; default 32."),
});
export type FedAvgOptions = z.output<typeof optionsSchema>;

/**
 * FedIT: federated averaging of LoRA. Every client trains A [rank, dIn] and B [dOut, rank] of every adapted module and
 * the saved heads, and sends the change; the coordinator averages A, B and heads separately:
 * new = global + sum_k w_k delta_k / sum_k w_k, over the contributors of the round.
 *
 * The mean of the factors is not the mean of the products B A; the difference is the factors' cross-covariance over the
 * clients and is measured as `bias` (|| sum p BA - Bbar Abar ||_F / || sum p BA ||_F over all modules, scalings left
 * out) where individual updates are visible.
 *
 * Paper: Zhang et al., "Towards Building the Federated GPT: Federated Instruction Tuning" (FedIT), 2023; McMahan et
 * al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017.
 * Privacy: needs only the weighted sum, so secure sums and both privacy units are sound; noise in A and B multiplies.
 */
export const fedavg: MethodDefinition<FedAvgOptions> = {
  name: "fedavg",
  version: 1,
  paper: "FedIT (Zhang et al. 2023), after FedAvg (McMahan et al. 2017)",
  summary: "Averages LoRA A, LoRA B and saved heads separately.",
  optionsSchema,
  capabilities: {
    sees: "sum",
    exact: false,
    ranks: "equal",
    editsBase: false,
    toleratesStale: false,
    mergeable: true,
    personal: false,
    codecs: everyCodec,
    variants: ["lora", "rslora"],
    serverOptimizers: true,
    clientOptions: ["proximal", "control-variates"],
    noise: "products",
    privacyUnits: ["example", "client"],
    weightings: ["uniform", "by-examples"],
    evaluation: "global",
  },
  create: (options, run) => createFedAvg(options, run),
};

function createFedAvg(options: FedAvgOptions, run: MethodRun): Method {
  const { spec, adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  return {
    definition: fedavg,
    initialState: () => ({ version: fedavg.version, values: {}, tensors: new Map() }),
    phase: () => "train",
    prepare: (_phase, _state, { ranks }) => deltaInstruction(rolesOf(adapterLayout, ranks, () => shared)),
    clientState: () => undefined,
    intake: (instruction, baseVersion) => freshOnly(instruction, spec, baseVersion),
    aggregate: (input) => ({
      passes: [
        weightedMeanPass("mean", groups, input.global),
        ...(measuresBias(options, input) ? [factorBiasPass("bias", groups, options.biasClients, input.global)] : []),
      ],
      finish: (sealed) => finish(sealed, input),
    }),
    projectFor: projectLeading,
    bytes: (instruction) => bytesPerRound(instruction, spec),
    exports: () => ["peft"],
    bias: { kind: "measured", metric: "bias" },
  };
}

function measuresBias(options: FedAvgOptions, input: AggregationInput): boolean {
  return options.biasClients >= 2 && input.visible !== "sum";
}

function finish(sealed: SealedPasses, input: AggregationInput): AggregationResult {
  const mean = collectMean(sealed, "mean", input);
  if (mean.kind === "refused") return mean;
  const bias = relativeBias((sealed.get("bias")?.values() ?? []) as Iterable<FactorBias | undefined>);
  const { contributors, totalWeight } = mean;
  const metrics = { contributors, totalWeight, ...(bias === undefined ? {} : { bias }) };
  return { kind: "adapter", global: mean.global, state: input.state, baseDelta: undefined, metrics };
}
