import { elementCount, firstNonFinite, itemSize, toStateDict } from "@fedlora/core";
import type { DType, StateDict, Tensor, TensorLayout } from "@fedlora/core";
import { z } from "zod";
import type {
  AggregationInput,
  AggregationResult,
  ClientInstruction,
  Method,
  MethodDefinition,
  MethodRun,
  SealedPasses,
} from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { factorBiasPass, relativeBias } from "../primitive/factor-bias.js";
import type { FactorBias } from "../primitive/factor-bias.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";
import type { WeightedMean } from "../primitive/weighted-mean.js";

const optionsSchema = z.strictObject({
  biasClients: z
    .int()
    .min(0)
    .max(32)
    .default(32)
    .describe("Updates that the aggregation bias is measured on each round; 0 to 32, 0 switches it off; default 32."),
});
export type FedAvgOptions = z.output<typeof optionsSchema>;

const codecDTypes: Readonly<Record<MethodRun["spec"]["codec"], DType>> = { f32: "F32", f16: "F16", bf16: "BF16" };

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
    codecs: ["f32", "f16", "bf16"],
    variants: ["lora", "rslora"],
    privacyUnits: ["example", "client"],
    weightings: ["uniform", "by-examples"],
    evaluation: "global",
  },
  create: (options, run) => createFedAvg(options, run),
};

function createFedAvg(options: FedAvgOptions, { spec, adapterLayout }: MethodRun): Method {
  const groups = adapterGroups(adapterLayout);
  const uploadDType = codecDTypes[spec.codec];
  const instruction: ClientInstruction = {
    roles: adapterLayout.map((tensor) => ({
      spec: tensor,
      trained: true,
      uploaded: true,
      downloaded: true,
      keep: "none",
    })),
    updateForm: "delta",
    frozen: [],
    directives: [],
    keepOptimizerState: false,
  };
  return {
    definition: fedavg,
    initialState: () => ({ version: fedavg.version, values: {}, tensors: new Map() }),
    phase: () => "train",
    prepare: () => instruction,
    clientState: () => undefined,
    intake: ({ roles }, baseVersion) => ({
      layout: roles.filter((role) => role.uploaded).map((role) => ({ ...role.spec, dtype: uploadDType })),
      maxNorm: spec.limits.maxUpdateNorm,
      requiredBaseVersion: baseVersion,
      staleWeight: (staleness) => (staleness === 0 ? 1 : 0),
    }),
    aggregate: (input) => ({
      passes: [
        weightedMeanPass("mean", groups, input.global),
        ...(measuresBias(options, input) ? [factorBiasPass("bias", groups, options.biasClients, input.global)] : []),
      ],
      finish: (sealed) => finish(sealed, input),
    }),
    projectFor: ({ roles }, global) => {
      const wanted = new Set(roles.filter((role) => role.downloaded).map((role) => role.spec.name));
      return toStateDict([...global].filter(([name]) => wanted.has(name)));
    },
    catchUp: () => [],
    bytes: ({ roles }) => ({
      down: tensorBytes(roles.filter((role) => role.downloaded).map((role) => role.spec)),
      up: tensorBytes(roles.filter((role) => role.uploaded).map((role) => ({ ...role.spec, dtype: uploadDType }))),
    }),
    exports: () => ["peft"],
    bias: { kind: "measured", metric: "bias" },
  };
}

function measuresBias(options: FedAvgOptions, input: AggregationInput): boolean {
  return options.biasClients >= 2 && input.visible !== "sum";
}

function finish(sealed: SealedPasses, input: AggregationInput): AggregationResult {
  const means = [...(sealed.get("mean")?.values() ?? [])] as WeightedMean[];
  const [first] = means;
  if (first === undefined || first.contributors === 0) {
    return refused(`round ${input.round}: no update with a weight above 0 to average`);
  }
  const global: StateDict = toStateDict(means.flatMap(({ tensors }) => [...tensors]));
  const overflown = [...global].find(([, tensor]: [string, Tensor]) => firstNonFinite(tensor) >= 0);
  if (overflown !== undefined) return refused(`round ${input.round}: "${overflown[0]}" is beyond float32`);
  const bias = relativeBias((sealed.get("bias")?.values() ?? []) as Iterable<FactorBias | undefined>);
  const { contributors, totalWeight } = first;
  const metrics = { contributors, totalWeight, ...(bias === undefined ? {} : { bias }) };
  return { kind: "adapter", global, state: input.state, baseDelta: undefined, metrics };
}

const refused = (message: string): AggregationResult => ({ kind: "refused", code: "round-failed", message });

function tensorBytes(layout: TensorLayout): number {
  return layout.reduce((bytes, { dtype, shape }) => bytes + elementCount(shape) * itemSize[dtype], 0);
}
