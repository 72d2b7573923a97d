import { z } from "zod";
import type { Method, MethodDefinition, MethodRun } from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { biasClientsSchema } from "../primitive/factor-bias.js";
import { meanAggregation } from "../primitive/mean-aggregation.js";
import { deltaInstruction, everyCodec, rolesAtDepth } from "../primitive/method-parts.js";
import { ownerMeanPass } from "../primitive/owner-mean.js";
import { usualMethod } from "../primitive/usual-method.js";

const optionsSchema = z.strictObject({ biasClients: biasClientsSchema });
export type LegendOptions = z.output<typeof optionsSchema>;

/**
 * LEGEND's aggregation, for clients that hold adapters in different modules and of different ranks: A, B and heads are
 * averaged module by module over the clients that hold the module,
 * new = global + sum_{k holds l} n_k delta_k / sum_{k holds l} n_k; a module that nobody held in the round keeps its value.
 * Where ranks differ inside a module, the same holds row by row of A and column by column of B.
 *
 * A client that does not hold a module (a weak device leaves the lower layers alone) still downloads and applies the
 * module's current adapter, read-only: it is part of the model that the upper layers are trained for.
 *
 * Paper: Liu et al., "Adaptive Parameter-Efficient Federated Fine-Tuning on Heterogeneous Devices" (LEGEND), IEEE TMC 2025.
 * As in `fedavg`, means of factors are not the mean of the products; `bias` is measured over the holders of each module.
 * Which client holds what is the run's rank plan, not this method's business.
 * Privacy: needs weighted sums and the weight per module; a mean over few holders needs more noise.
 */
export const legend: MethodDefinition<LegendOptions> = {
  name: "legend",
  version: 1,
  paper: "LEGEND (Liu et al. 2025)",
  summary: "Averages each module over the clients that hold it: depths and ranks may differ.",
  optionsSchema,
  capabilities: {
    sees: "several-sums",
    exact: false,
    ranks: "any",
    editsBase: false,
    toleratesStale: false,
    mergeable: true,
    personal: false,
    codecs: everyCodec,
    variants: ["lora", "rslora"],
    serverOptimizers: true,
    clientOptions: ["proximal"],
    noise: "products",
    privacyUnits: ["example"],
    weightings: ["uniform", "by-examples"],
    evaluation: "global",
  },
  create: (options, run) => createLegend(options, run),
};

function createLegend({ biasClients }: LegendOptions, run: MethodRun): Method {
  const { spec, adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  const bias = { groups, exactUpTo: biasClients, seed: spec.training.seed };
  return {
    ...usualMethod(legend, run),
    prepare: (_phase, _state, { ranks }) => deltaInstruction(rolesAtDepth(adapterLayout, ranks)),
    aggregate: (input) => meanAggregation(ownerMeanPass("mean", groups, input.global), input, { bias }),
    bias: { kind: "measured", metric: "bias" },
  };
}
