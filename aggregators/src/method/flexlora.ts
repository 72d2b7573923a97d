import { moduleOfTensor } from "@fedlora/core";
import { z } from "zod";
import { factoredProductSvd } from "../linalg/factored-product-svd.js";
import type {
  AggregationInput,
  AggregationResult,
  Method,
  MethodDefinition,
  MethodRun,
  SealedPasses,
} from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { deltaInstruction, everyCodec, rolesAtDepth, scalingOf } from "../primitive/method-parts.js";
import { factorGroups, factorSizes, factorValues, productTermsPass, stackTerms } from "../primitive/product-terms.js";
import type { FactorSpecs, FactorValues, ProductTerm } from "../primitive/product-terms.js";
import { replaceFactors } from "../primitive/replace-factors.js";
import { collectRoster, rosterPasses } from "../primitive/roster.js";
import { svdFactors } from "../primitive/svd-factors.js";
import { usualMethod } from "../primitive/usual-method.js";

const optionsSchema = z.strictObject({});

/**
 * FlexLoRA: the mean is taken of the products, and decomposed. D = sum_k p_k B_k A_k = U S V^T; the global adapter is
 * B = U S, A = V^T at the run's rank, so a client of rank r_i receives the best approximation of rank r_i as the first
 * columns and rows of it. The scaling is the run's for all clients, so it stays out. p_k counts the clients that hold the
 * module; a module that nobody holds keeps its value. Heads are averaged.
 *
 * Exact where D has no higher rank than the adapter; else the metric `truncationError` is the Frobenius norm of what is
 * left out, over all modules, scaling included, and `truncationShare` its share of the norm of all D. D is never formed:
 * QR of the stacked factors and the decomposition of a small core. Singular values descend, the largest entry of each
 * column of U is positive. Directions that D does not have keep the old rows of A, with a zero column of B: they can be
 * trained.
 *
 * Paper: Bai et al., "Federated Fine-tuning of Large Language Models under Heterogeneous Tasks and Client Resources",
 * NeurIPS 2024. A re-implementation puts sqrt(S) into B alone and loses the other half.
 * Privacy: needs each client's factors, so no secure sums; noise of single updates multiplies.
 */
export const flexlora: MethodDefinition<z.output<typeof optionsSchema>> = {
  name: "flexlora",
  version: 1,
  paper: "FlexLoRA (Bai et al. 2024)",
  summary: "Averages the products, and gives each client the singular directions that its rank takes.",
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
  create: (_options, run) => createFlexLora(run),
};

/** One module's new factors, and the squares of its norm and of what is left out, without the scaling. */
interface Decomposed {
  readonly factors: FactorValues;
  readonly square: number;
  readonly leftOut: number;
}

function createFlexLora(run: MethodRun): Method {
  const { adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  return {
    ...usualMethod(flexlora, run),
    // What a codec left out is of no use in the next round: the factors get another basis each round.
    prepare: (_phase, _state, { ranks }) =>
      deltaInstruction(rolesAtDepth(adapterLayout, ranks), { errorFeedback: false }),
    aggregate: (input) => ({
      passes: [
        ...rosterPasses(groups, input),
        productTermsPass("products", groups, {
          seal: (terms, { factors }) => decompose(terms, factors, factorValues(input.global, factors)),
        }),
      ],
      finish: (sealed) => finish(sealed, run, input),
    }),
    bias: { kind: "none", why: "the mean is taken of the products; what the rank leaves out is `truncationError`" },
  };
}

function decompose(terms: readonly ProductTerm[], specs: FactorSpecs, from: FactorValues): Decomposed | undefined {
  if (terms.length === 0) return undefined;
  const { rank } = factorSizes(specs);
  const { left, right } = stackTerms(terms, specs, from);
  const svd = factoredProductSvd(left, right, rank);
  return {
    factors: svdFactors(svd, specs, from),
    square: svd.norm ** 2,
    leftOut: svd.leftOut ** 2,
  };
}

function finish(sealed: SealedPasses, run: MethodRun, input: AggregationInput): AggregationResult {
  const groups = adapterGroups(run.adapterLayout);
  const roster = collectRoster(sealed, input);
  if (roster.kind === "refused") return roster;
  const modules = (sealed.get("products") ?? new Map()) as ReadonlyMap<string, Decomposed | undefined>;
  const { contributors, totalWeight } = roster;
  const adapter = replaceFactors(roster.global, groups, input, (name) => modules.get(name)?.factors);
  if (adapter.kind === "refused") return adapter;
  let square = 0;
  let leftOut = 0;
  for (const { name, factors } of factorGroups(groups)) {
    const scaling = scalingOf(run, moduleOfTensor(factors.a.name)) ** 2;
    square += scaling * (modules.get(name)?.square ?? 0);
    leftOut += scaling * (modules.get(name)?.leftOut ?? 0);
  }
  return {
    ...adapter,
    state: input.state,
    baseDelta: undefined,
    metrics: {
      contributors,
      totalWeight,
      truncationError: Math.sqrt(leftOut),
      truncationShare: leftOut === 0 ? 0 : Math.sqrt(leftOut / square),
    },
  };
}
