import { moduleOfTensor, tensorKindOf } from "@fedlora/core";
import type { TensorLayout } from "@fedlora/core";
import { z } from "zod";
import type { Aggregation, AggregationInput, Method, MethodDefinition, MethodRun, MethodRunState } from "../method.js";
import type { ClientCapability, UpdateView } from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { refused } from "../primitive/collect-mean.js";
import { biasClientsSchema } from "../primitive/factor-bias.js";
import { meanAggregation } from "../primitive/mean-aggregation.js";
import { deltaInstruction, everyCodec, rolesOf, scalingOf, shared } from "../primitive/method-parts.js";
import { measureProducts } from "../primitive/measure-products.js";
import type { MeasuredProduct } from "../primitive/measure-products.js";
import { paddedMeanPass } from "../primitive/padded-mean.js";
import { perUpdatePass } from "../primitive/per-update.js";
import type { PerUpdate } from "../primitive/per-update.js";
import { usualMethod } from "../primitive/usual-method.js";

const optionsSchema = z.strictObject({
  lambda: z
    .number()
    .min(0)
    .max(100)
    .default(0.01)
    .describe("Weight of the clients' penalty on their last ranks; 0 to 100, 0 switches it off, default 0.01."),
  gamma: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.99)
    .describe("Share of its ranks that a client keeps when it is pruned; between 0 and 1, default 0.99."),
  prune: z.boolean().default(true).describe("Lower a client's rank when its last ranks lose weight; default true."),
  maxNormRatio: z
    .number()
    .min(1)
    .max(1e6)
    .default(3)
    .describe("A client's norm counts at most this many times the round's median norm; 1 to 1000000, default 3."),
  biasClients: biasClientsSchema,
});
export type HetLoraOptions = z.output<typeof optionsSchema>;

/**
 * HetLoRA: clients of different ranks. A client gets the first r_k rows of A and columns of B; the coordinator pads what
 * they become with zeros and averages by the size of their products,
 * Abar = sum_k w_k pad(A_k), Bbar = sum_k w_k pad(B_k), w_k = ||s B_k A_k||_F / sum_j ||s B_j A_j||_F, the norms over all
 * modules together, by rank x rank Gram matrices. Saved heads take the same weights.
 *
 * Rank self-pruning: with t = floor(gamma r_k) the clients add lambda ||B[:, t:]||_F ||A[t:, :]||_F per module to their
 * loss. Where the sum of these products over the modules is smaller after training than before, the client's rank is t
 * from its next plan on, at least 1. The coordinator measures both, so nothing depends on what clients report.
 *
 * Beyond the paper: a norm counts at most `maxNormRatio` times the round's median, so that no client buys weight by large
 * or noisy factors; a module is averaged over those that hold it; what no client's rank reaches keeps its value, since
 * zeros in both factors would never train again; and where all norms are zero the weights are equal.
 *
 * `bias` compares what is sent with sum_k w_k B_k A_k over the clients that hold a module, which ranks need not be equal
 * for.
 *
 * Paper: Cho et al., "Heterogeneous LoRA for Federated Fine-tuning of On-Device Foundation Models" (HetLoRA), EMNLP 2024.
 * Privacy: the coordinator sees every update's norm; no secure sums.
 */
export const hetlora: MethodDefinition<HetLoraOptions> = {
  name: "hetlora",
  version: 1,
  paper: "HetLoRA (Cho et al. 2024)",
  summary: "Pads factors of different ranks with zeros and averages them by the size of their products; prunes ranks.",
  optionsSchema,
  capabilities: {
    sees: "individual-updates",
    exact: false,
    ranks: "prefix",
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
  create: (options, run) => createHetLora(options, run),
};

function createHetLora(options: HetLoraOptions, run: MethodRun): Method {
  const { adapterLayout } = run;
  const { lambda, gamma } = options;
  const directives = lambda === 0 ? [] : [{ kind: "rank-penalty", version: 1, lambda, gamma } as const];
  return {
    ...usualMethod(hetlora, run),
    prepare: (_phase, state, client) =>
      deltaInstruction(
        rolesOf(adapterLayout, ranksOf(client, adapterLayout, state, gamma), () => shared),
        { directives },
      ),
    aggregate: (input) => measureThenAverage(options, run, input),
    bias: { kind: "measured", metric: "bias" },
  };
}

function measureThenAverage(options: HetLoraOptions, run: MethodRun, input: AggregationInput): Aggregation {
  const groups = adapterGroups(run.adapterLayout);
  const modules = groups.filter((group) => group.factors !== undefined);
  const measure = measureProducts(input.global, options.gamma, (module) => scalingOf(run, module));
  return {
    passes: [perUpdatePass("products", modules, measure)],
    finish(sealed) {
      const parts = [...(sealed.get("products")?.values() ?? [])] as (readonly PerUpdate<MeasuredProduct>[])[];
      const clients = sumOverModules(parts);
      if (clients.length === 0) return refused(`round ${input.round}: no update with a weight above 0 to average`);
      const pruned = options.prune ? clients.filter(({ before, after, rank }) => rank > 1 && after < before) : [];
      const values = { ...input.state.values };
      for (const { clientId } of pruned) values[prunesOf(clientId)] = countOf(input.state, clientId) + 1;
      const factors = normFactors(clients, options.maxNormRatio);
      const totalWeight = clients.reduce((sum, { weight }) => sum + weight, 0);
      const weightOf = ({ id, weight }: UpdateView): number => weight * (factors.get(id) ?? 0);
      const pass = paddedMeanPass("mean", groups, input.global, weightOf);
      const next = meanAggregation(pass, input, {
        state: { ...input.state, values },
        metrics: { contributors: clients.length, totalWeight, pruned: pruned.length },
        bias: { groups, exactUpTo: options.biasClients, seed: run.spec.training.seed, weightOf },
      });
      return { kind: "continue", next };
    },
  };
}

interface MeasuredClient {
  readonly id: string;
  readonly clientId: string;
  readonly weight: number;
  readonly norm: number;
  /** Largest of its modules'. */
  readonly rank: number;
  readonly before: number;
  readonly after: number;
}

/** In the order of the ids. */
function sumOverModules(parts: readonly (readonly PerUpdate<MeasuredProduct>[])[]): readonly MeasuredClient[] {
  return (parts[0] ?? []).map(({ id, clientId, weight }, k) => {
    const own = parts.flatMap((list) => list[k]?.value ?? []);
    const sum = (of: (one: MeasuredProduct) => number): number => own.reduce((total, one) => total + of(one), 0);
    return {
      id,
      clientId,
      weight,
      norm: Math.sqrt(sum(({ squaredNorm }) => squaredNorm)),
      rank: Math.max(0, ...own.map(({ rank }) => rank)),
      before: sum(({ tailBefore }) => tailBefore),
      after: sum(({ tailAfter }) => tailAfter),
    };
  });
}

/** Norms up to the cap, relative to the largest so that they are within float32; 1 for all where they are all zero. */
function normFactors(clients: readonly MeasuredClient[], maxNormRatio: number): ReadonlyMap<string, number> {
  const sorted = clients.map(({ norm }) => norm).sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
  const cap = median === 0 ? Infinity : maxNormRatio * median;
  const capped = clients.map(({ id, norm }) => [id, Math.min(norm, cap)] as const);
  const largest = Math.max(...capped.map(([, norm]) => norm));
  return new Map(capped.map(([id, norm]) => [id, largest === 0 ? 1 : norm / largest]));
}

/** The planned ranks, each lowered to floor(gamma rank) as often as the client was pruned. */
function ranksOf(
  { clientId, ranks }: ClientCapability,
  layout: TensorLayout,
  state: MethodRunState,
  gamma: number,
): ClientCapability["ranks"] {
  const prunes = countOf(state, clientId);
  if (prunes === 0) return ranks;
  const planned = ranks ?? fullRanks(layout);
  return Object.fromEntries(Object.entries(planned).map(([module, rank]) => [module, prunedRank(rank, prunes, gamma)]));
}

function prunedRank(rank: number, prunes: number, gamma: number): number {
  let left = rank;
  for (let i = 0; i < prunes && left > 1; i++) left = Math.max(1, Math.floor(gamma * left));
  return left;
}

function fullRanks(layout: TensorLayout): Readonly<Record<string, number>> {
  const factors = layout.filter(({ name }) => tensorKindOf(name) === "lora-a");
  return Object.fromEntries(factors.map(({ name, shape }) => [moduleOfTensor(name), shape[0] ?? 0]));
}

const prunesOf = (clientId: string): string => `prunes/${clientId}`;

function countOf({ values }: MethodRunState, clientId: string): number {
  const count = values[prunesOf(clientId)];
  return typeof count === "number" ? count : 0;
}
