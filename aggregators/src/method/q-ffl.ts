import { FedLoraError } from "@fedlora/core";
import { z } from "zod";
import type { Aggregation, AggregationInput, Method, MethodDefinition, MethodRun, UpdateView } from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import type { AdapterGroup } from "../primitive/adapter-groups.js";
import { refused } from "../primitive/collect-mean.js";
import { biasClientsSchema } from "../primitive/factor-bias.js";
import type { BiasOptions } from "../primitive/factor-bias.js";
import { meanAggregation } from "../primitive/mean-aggregation.js";
import { deltaInstruction, everyCodec, rolesOf, shared } from "../primitive/method-parts.js";
import { namingUpdate } from "../primitive/naming-update.js";
import { perUpdatePass } from "../primitive/per-update.js";
import type { PerUpdate } from "../primitive/per-update.js";
import { usualMethod } from "../primitive/usual-method.js";
import { ratioMeanPass } from "../primitive/weighted-mean.js";
import type { RatioTerm } from "../primitive/weighted-mean.js";

const optionsSchema = z.strictObject({
  q: z
    .number()
    .min(0)
    .max(10)
    .default(0.1)
    .describe("Fairness: 0 is the plain mean, larger counts clients with a larger loss more; 0 to 10, default 0.1."),
  lipschitz: z
    .number()
    .positive()
    .optional()
    .describe("Estimate L of the gradient's Lipschitz constant; above 0, default: 1 / the clients' learning rate."),
  examples: z
    .int()
    .min(1)
    .max(1_000_000)
    .default(256)
    .describe("Most training examples that a client measures the received model's loss on; default 256."),
  biasClients: biasClientsSchema,
});
export type QFflOptions = z.output<typeof optionsSchema>;

/** Keeps the power of a loss of 0 finite. */
const smallestLoss = 1e-10;

interface Measured {
  readonly loss: number;
  /** Of the group's deltas. */
  readonly squaredNorm: number;
}

/**
 * q-FFL by q-FedAvg: clients whose loss at the received model is larger count more, so that accuracy is spread evenly.
 * With F_k the loss of client k at the received model w and d_k = w_k - w its change of all trained tensors together,
 *
 * w' = w + sum_k F_k^q d_k / sum_k (F_k^q + q F_k^(q - 1) L ||d_k||^2),
 *
 * which is the paper's sum Delta_k / sum h_k with Delta_k = L F_k^q (w - w_k), divided by L. With q = 0 it is the uniform
 * mean. F_k is measured before training, as in the paper; public code often takes the training loss. Each update's weight
 * (1, but where the run says otherwise) counts it that many times.
 *
 * `bias` compares what is sent with this step taken by the products B A: the mean of the clients' and of the received
 * model's, whose weight is what the divisor has beyond the sum of F_k^q.
 *
 * Paper: Li et al., "Fair Resource Allocation in Federated Learning" (q-FFL), ICLR 2020.
 * Privacy: the coordinator sees every update's norm and loss; neither secure sums nor a privacy unit is sound.
 */
export const qFfl: MethodDefinition<QFflOptions> = {
  name: "q-ffl",
  version: 1,
  paper: "q-FFL (Li et al. 2020)",
  summary: "Counts clients by a power of their loss, so that no client is left behind.",
  optionsSchema,
  capabilities: {
    sees: "individual-updates",
    exact: false,
    ranks: "equal",
    editsBase: false,
    toleratesStale: false,
    mergeable: true,
    personal: false,
    codecs: everyCodec,
    variants: ["lora", "rslora"],
    serverOptimizers: true,
    clientOptions: ["proximal"],
    noise: "products",
    privacyUnits: [],
    weightings: ["uniform"],
    evaluation: "global",
  },
  create: (options, run) => createQFfl(options, run),
};

function createQFfl({ q, lipschitz, examples, biasClients }: QFflOptions, run: MethodRun): Method {
  const { spec, adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  const constant = lipschitz ?? 1 / spec.training.optimizer.learningRate;
  const bias = { groups, exactUpTo: biasClients, seed: spec.training.seed };
  const directives = [{ kind: "received-loss", version: 1, examples } as const];
  return {
    ...usualMethod(qFfl, run),
    prepare: (_phase, _state, { ranks }) =>
      deltaInstruction(
        rolesOf(adapterLayout, ranks, () => shared),
        { directives },
      ),
    aggregate: (input) => measureThenAverage(groups, input, { q, lipschitz: constant }, bias),
    bias: { kind: "measured", metric: "bias" },
  };
}

function measureThenAverage(
  groups: readonly AdapterGroup[],
  input: AggregationInput,
  { q, lipschitz }: { readonly q: number; readonly lipschitz: number },
  bias: Pick<BiasOptions, "groups" | "exactUpTo" | "seed">,
): Aggregation {
  return {
    passes: [perUpdatePass("losses", groups, measure)],
    finish(sealed) {
      const parts = [...(sealed.get("losses")?.values() ?? [])] as (readonly PerUpdate<Measured>[])[];
      const losses = new Map(parts[0]?.map(({ id, value }) => [id, value.loss + smallestLoss]));
      if (losses.size === 0) return refused(`round ${input.round}: no update with a weight above 0 to average`);
      const largest = Math.max(...losses.values());
      const norms = new Map<string, number>();
      for (const { id, value } of parts.flat()) norms.set(id, (norms.get(id) ?? 0) + value.squaredNorm);
      const termOf = ({ id, weight }: Pick<UpdateView, "id" | "weight">): RatioTerm | undefined => {
        const loss = losses.get(id);
        if (loss === undefined) return undefined;
        // Relative to the largest loss, whose power cancels: no power is beyond float32.
        const power = weight * (loss / largest) ** q;
        return { weight: power, divisor: power * (1 + (q * lipschitz * (norms.get(id) ?? 0)) / loss) };
      };
      // The step is the mean of the clients' models and of the one that they received, which damps it.
      const terms = (parts[0] ?? []).flatMap((one) => termOf(one) ?? []);
      const startWeight = terms.reduce((sum, { weight, divisor }) => sum + (divisor - weight), 0);
      const step = ratioMeanPass("step", groups, { base: input.global, termOf });
      const totalWeight = parts[0]?.reduce((sum, { weight }) => sum + weight, 0) ?? 0;
      return {
        kind: "continue",
        next: meanAggregation(step, input, {
          metrics: { totalWeight, largestLoss: largest },
          bias: { ...bias, weightOf: (update) => termOf(update)?.weight ?? 0, startWeight },
        }),
      };
    },
  };
}

function measure(update: UpdateView, { tensors }: AdapterGroup): Measured {
  const { id, receivedLoss: loss } = update;
  if (loss === undefined || !(loss >= 0 && loss < Infinity)) {
    const got = loss === undefined ? "none" : String(loss);
    throw new FedLoraError("update-metrics", `update "${id}": the loss of the received model is missing (got ${got})`, {
      details: { updateId: id },
    });
  }
  let squaredNorm = 0;
  for (const spec of tensors) {
    namingUpdate(update, spec.name, () => {
      for (const value of update.tensor(spec.name)) squaredNorm += value * value;
      // The largest float32 values cannot take it out of float64.
      if (!Number.isFinite(squaredNorm))
        throw new FedLoraError("update-not-finite", "holds a value that is not finite");
    });
  }
  return { loss, squaredNorm };
}
