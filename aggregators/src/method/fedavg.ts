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
import { biasClientsSchema, withBias } from "../primitive/factor-bias.js";
import { collectMean } from "../primitive/collect-mean.js";
import { everyCodec } from "../primitive/method-parts.js";
import { usualMethod } from "../primitive/usual-method.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";

const optionsSchema = z.strictObject({ biasClients: biasClientsSchema });
export type FedAvgOptions = z.output<typeof optionsSchema>;

/**
 * FedIT: federated averaging of LoRA. Every client trains A [rank, dIn] and B [dOut, rank] of every adapted module and
 * the saved heads, and sends the change; the coordinator averages A, B and heads separately:
 * new = global + sum_k w_k delta_k / sum_k w_k, over the contributors of the round.
 *
 * The mean of the factors is not the mean of the products B A; the difference is the factors' cross-covariance over the
 * clients and is measured as `bias` (|| sum p BA - Bbar Abar ||_F / || sum p BA ||_F over all modules, scalings left
 * out) where individual updates are visible, with `biasError`, the standard deviation of an estimate; see `withBias`.
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
  const { adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  return {
    ...usualMethod(fedavg, run),
    aggregate: (input) => ({
      passes: [weightedMeanPass("mean", groups, input.global)],
      finish: (sealed) => finish(sealed, { options, run, groups, input }),
    }),
    bias: { kind: "measured", metric: "bias" },
  };
}

interface MeanStage {
  readonly options: FedAvgOptions;
  readonly run: MethodRun;
  readonly groups: readonly AdapterGroup[];
  readonly input: AggregationInput;
}

function finish(
  sealed: SealedPasses,
  { options, run, groups, input }: MeanStage,
): AggregationResult | ContinuedAggregation {
  const mean = collectMean(sealed, "mean", input);
  if (mean.kind === "refused") return mean;
  const { global, contributors, totalWeight } = mean;
  const metrics = { contributors, totalWeight };
  const exactUpTo = options.biasClients;
  const { seed } = run.spec.training;
  return withBias(
    { kind: "adapter", global, state: input.state, baseDelta: undefined, metrics },
    { input, groups, contributors, exactUpTo, against: "means", seed },
  );
}
