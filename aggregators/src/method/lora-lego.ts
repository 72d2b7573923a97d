import { deriveKey, randomKey, RandomStream } from "@fedlora/core";
import { z } from "zod";
import { addScaled, columnMatrix, dotAt, gram } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import type {
  AggregationResult,
  ContinuedAggregation,
  Method,
  MethodDefinition,
  MethodRun,
  SealedPasses,
} from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { biasClientsSchema, withBias } from "../primitive/factor-bias.js";
import type { BiasOptions } from "../primitive/factor-bias.js";
import { deltaInstruction, everyCodec, rolesAtDepth } from "../primitive/method-parts.js";
import { factorSizes, factorValues, productTermsPass, sideBySide, termA, termB } from "../primitive/product-terms.js";
import type { FactorSpecs, FactorValues, ProductTerm } from "../primitive/product-terms.js";
import { clusterPoints } from "../primitive/rank-clusters.js";
import { replaceFactors } from "../primitive/replace-factors.js";
import { collectRoster, rosterPasses } from "../primitive/roster.js";
import { usualMethod } from "../primitive/usual-method.js";

const optionsSchema = z.strictObject({
  iterations: z
    .int()
    .min(1)
    .max(1000)
    .default(100)
    .describe("Most rounds of k-means for a module; 1 to 1000, default 100."),
  biasClients: biasClientsSchema,
});
export type LoraLegoOptions = z.output<typeof optionsSchema>;

/**
 * LoRA-LEGO: every rank of every client, a row of A_k with the column of B_k, is a minimal semantic unit [a_i; b_i]; the
 * units of all clients are clustered module by module (k-means with the run's rank as k, each unit weighing its client's
 * share p_k), and the clusters' centroids are the ranks of the merged adapter. Clients may have any ranks; p_k counts
 * those that hold the module, a module that nobody holds keeps its value. Heads are averaged.
 *
 * Scale: a centroid (a_c, b_c) of a cluster of total weight P_c is multiplied so that the norm of its product is the
 * weighted sum of its units', || b_c a_c || = sum_(i in c) p_i || b_i || || a_i ||, half of the factor on each side.
 * That does what the paper's two reweightings do, for clients with weights: the norm that averaging takes from a
 * centroid is given back, and the output keeps the scale of the mean client, since the P_c add up to the mean rank and
 * not to the number of units. Clients that agree, and one client alone, give exactly their own product.
 *
 * The merged ranks stand in descending order of that norm, so a smaller client receives the strongest ones. Where fewer
 * clusters than ranks come out the rest keep their rows of A, with a zero column of B. The seeding is drawn from the
 * run's seed, the round and the module's name.
 *
 * `bias` compares the merged adapter's product with sum_k p_k B_k A_k: how far the clustering is from the clients' mean.
 *
 * Paper: Zhao et al., "Merging LoRAs like Playing LEGO: Pushing the Modularity of LoRA to Extremes Through Rank-Wise
 * Clustering", ICLR 2025.
 * Privacy: needs each client's factors, so no secure sums; noise of single updates multiplies.
 */
export const loraLego: MethodDefinition<LoraLegoOptions> = {
  name: "lora-lego",
  version: 1,
  paper: "LoRA-LEGO (Zhao et al. 2025)",
  summary: "Clusters the ranks of all clients; the clusters' centroids are the new adapter.",
  optionsSchema,
  capabilities: {
    sees: "individual-updates",
    exact: false,
    ranks: "any",
    editsBase: false,
    toleratesStale: false,
    mergeable: true,
    personal: false,
    codecs: everyCodec,
    variants: ["lora", "rslora"],
    serverOptimizers: false,
    clientOptions: ["proximal"],
    noise: "products",
    privacyUnits: ["example"],
    weightings: ["uniform", "by-examples"],
    evaluation: "global",
  },
  create: (options, run) => createLoraLego(options, run),
};

function createLoraLego({ iterations, biasClients }: LoraLegoOptions, run: MethodRun): Method {
  const { spec, adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  return {
    ...usualMethod(loraLego, run),
    // What a codec left out is of no use in the next round: the factors get another basis each round.
    prepare: (_phase, _state, { ranks }) =>
      deltaInstruction(rolesAtDepth(adapterLayout, ranks), { errorFeedback: false }),
    aggregate: (input) => ({
      passes: [
        ...rosterPasses(groups, input),
        productTermsPass("units", groups, {
          seal(terms, { name, factors }) {
            const key = deriveKey(randomKey(spec.training.seed), "lora-lego", input.round, name);
            return merge(terms, factors, factorValues(input.global, factors), {
              iterations,
              stream: new RandomStream(key),
            });
          },
        }),
      ],
      finish: (sealed) => finish(sealed, { input, groups, exactUpTo: biasClients, seed: spec.training.seed }),
    }),
    bias: { kind: "measured", metric: "bias" },
  };
}

/** One rank of the merged adapter. */
interface MergedUnit {
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly norm: number;
}

function merge(
  terms: readonly ProductTerm[],
  specs: FactorSpecs,
  from: FactorValues,
  options: { readonly iterations: number; readonly stream: RandomStream },
): FactorValues | undefined {
  if (terms.length === 0) return undefined;
  const { rank, dIn, dOut } = factorSizes(specs);
  const a = sideBySide(
    dIn,
    terms.map((term) => termA(term, specs, from)),
  );
  const b = sideBySide(
    dOut,
    terms.map((term) => termB(term, specs, from)),
  );
  const weights = Float64Array.from(terms.flatMap((term) => Array.from({ length: term.rank }, () => term.share)));
  const products = gram(a);
  const gramB = gram(b);
  for (let i = 0; i < products.values.length; i++) {
    products.values[i] = (products.values[i] ?? 0) + (gramB.values[i] ?? 0);
  }
  const clusters = clusterPoints(products, weights, { ...options, clusters: rank });
  const units = clusters.map((points) => mergedUnit(points, weights, a, b)).sort((x, y) => y.norm - x.norm);
  return toFactors(units, specs, from);
}

function mergedUnit(points: readonly number[], weights: Float64Array, a: ColumnMatrix, b: ColumnMatrix): MergedUnit {
  const total = points.reduce((sum, i) => sum + (weights[i] ?? 0), 0);
  const centroid = ({ rows, values }: ColumnMatrix): Float64Array => {
    const out = columnMatrix(rows, 1).values;
    for (const i of points) addScaled(out, 0, (weights[i] ?? 0) / total, values, i * rows, rows);
    return out;
  };
  const norm = points.reduce((sum, i) => sum + (weights[i] ?? 0) * columnNorm(a, i) * columnNorm(b, i), 0);
  const own = { a: centroid(a), b: centroid(b) };
  // Without an output of its own a unit keeps its direction A, so that it can be trained.
  if (norm === 0) return { a: own.a, b: new Float64Array(own.b.length), norm };
  const centroidNorm = vectorNorm(own.a) * vectorNorm(own.b);
  const factor = centroidNorm === 0 ? 1 : Math.sqrt(norm / centroidNorm);
  return { a: own.a.map((x) => factor * x), b: own.b.map((x) => factor * x), norm };
}

const columnNorm = ({ rows, values }: ColumnMatrix, i: number): number =>
  Math.sqrt(dotAt(values, i * rows, values, i * rows, rows));
const vectorNorm = (x: Float64Array): number => Math.sqrt(dotAt(x, 0, x, 0, x.length));

function toFactors(units: readonly MergedUnit[], specs: FactorSpecs, from: FactorValues): FactorValues {
  const { rank, dIn, dOut } = factorSizes(specs);
  const a = from.a.slice();
  const b = new Float32Array(dOut * rank);
  units.forEach((unit, q) => {
    a.set(unit.a, q * dIn);
    for (let i = 0; i < dOut; i++) b[i * rank + q] = unit.b[i] ?? 0;
  });
  return { a, b };
}

function finish(
  sealed: SealedPasses,
  options: Pick<BiasOptions, "input" | "groups" | "exactUpTo" | "seed">,
): AggregationResult | ContinuedAggregation {
  const { input, groups } = options;
  const roster = collectRoster(sealed, input);
  if (roster.kind === "refused") return roster;
  const { contributors, totalWeight, global } = roster;
  const modules = (sealed.get("units") ?? new Map()) as ReadonlyMap<string, FactorValues | undefined>;
  const merged = replaceFactors(global, groups, input, (name) => modules.get(name));
  if (merged.kind === "refused") return merged;
  const metrics = { contributors, totalWeight };
  const result = { ...merged, state: input.state, baseDelta: undefined, metrics };
  return withBias(result, { ...options, contributors, against: merged.global });
}
