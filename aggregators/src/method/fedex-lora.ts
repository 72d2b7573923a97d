import { z } from "zod";
import { factoredProductSvd } from "../linalg/factored-product-svd.js";
import type {
  Aggregation,
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
import { collectMean, refused } from "../primitive/collect-mean.js";
import type { CollectedMean } from "../primitive/collect-mean.js";
import { denseProductPass } from "../primitive/dense-product.js";
import { everyCodec, scalingOf, tensorBytes } from "../primitive/method-parts.js";
import { deltaLayout, moduleOf, planDelta, writeFactors } from "../primitive/product-delta.js";
import type { DeltaPlan } from "../primitive/product-delta.js";
import { residualFactors } from "../primitive/product-residual.js";
import { factorGroups, factorSizes, productTermsPass } from "../primitive/product-terms.js";
import type { ProductTerm } from "../primitive/product-terms.js";
import { usualEditingMethod } from "../primitive/usual-method.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";

const optionsSchema = z.strictObject({
  truncate: z
    .int()
    .min(1)
    .max(4096)
    .optional()
    .describe("Largest rank of the residual that is sent; 1 to 4096, default: unset, nothing is left out."),
});
export type FedExOptions = z.output<typeof optionsSchema>;

/**
 * FedEx-LoRA: exact aggregation. A, B and heads are averaged as in FedIT; what the mean of the factors misses goes to the
 * frozen weights, s being the module's scaling and (A', B') the factors as sent:
 * R = sum_k p_k B_k A_k - B' A',  W0 += s R.
 *
 * R is computed last, against what is sent: after the server optimizer, and from the float32 values. Where the means
 * themselves are sent R has rank (m - 1) r and needs no decomposition, R = [B_1 - B' | ... | B_(m-1) - B']
 * [p_1 (A_1 - A_m); ...], because sum_k p_k (B_k - Bbar) = 0; the paper states m r. Behind a server optimizer it is
 * [B_1 | ... | B_m | -B'] [p_1 A_1; ...; p_m A_m; A'] of rank (m + 1) r. It is written dense where that is smaller, and
 * as the best approximation of rank `truncate` where that is set (metric `truncationError`, the Frobenius norm of what is
 * left out over all modules, scaling included). float32 leaves errors of about 2^-23 of the products.
 *
 * Paper: Singhal et al., "FedEx-LoRA: Exact Aggregation for Federated and Efficient Fine-Tuning of Large Language
 * Models", ACL 2025. Its public code weighs clients equally and adds the residual transposed, which only a square or a
 * Conv1D weight takes; here clients have weights, and W0 is [dOut, dIn].
 * Privacy: needs each client's factors, so no secure sums; noise of single updates multiplies and stays in W0.
 */
export const fedexLora: MethodDefinition<FedExOptions> = {
  name: "fedex-lora",
  version: 1,
  paper: "FedEx-LoRA (Singhal et al. 2025)",
  summary: "Averages A and B, and adds what that misses to the base weights: exact.",
  optionsSchema,
  capabilities: {
    sees: "individual-updates",
    exact: true,
    ranks: "equal",
    editsBase: true,
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
  create: (options, run) => createFedEx(options, run),
};

/** What one module's residual left out, squared: 0 where nothing was truncated. */
interface WrittenResidual {
  readonly isFinite: boolean;
  readonly leftOut: number;
}

function createFedEx(options: FedExOptions, run: MethodRun): Method {
  const { spec, adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  const steps = spec.serverOptimizer.kind !== "none";
  return {
    ...usualEditingMethod(fedexLora, run),
    aggregate: (input) => ({
      passes: [weightedMeanPass("mean", groups, input.global)],
      finish(sealed) {
        const mean = collectMean(sealed, "mean", input);
        return mean.kind === "refused" ? mean : residual({ options, run, groups, input, mean });
      },
    }),
    baseDeltaBytes(contributors) {
      const plans = plansOf(options, groups, residualTerms(contributors, steps));
      return tensorBytes(deltaLayout(plans));
    },
    bias: { kind: "none", why: "the residual in the base weights makes the aggregate exact" },
  };
}

/** Blocks of r columns that a residual takes. */
function residualTerms(contributors: number, stepped: boolean): number {
  return stepped ? contributors + 1 : contributors - 1;
}

function plansOf({ truncate }: FedExOptions, groups: readonly AdapterGroup[], terms: number): DeltaPlan[] {
  return factorGroups(groups).map((group) => {
    const { rank, dIn, dOut } = factorSizes(group.factors);
    return planDelta(group, Math.min(terms * rank, truncate === undefined ? Infinity : Math.min(truncate, dIn, dOut)));
  });
}

interface ResidualStage {
  readonly options: FedExOptions;
  readonly run: MethodRun;
  readonly groups: readonly AdapterGroup[];
  readonly input: AggregationInput;
  readonly mean: CollectedMean;
}

function residual({ options, run, groups, input, mean }: ResidualStage): AggregationResult | ContinuedAggregation {
  const { contributors, totalWeight, global } = mean;
  const terms = residualTerms(contributors, input.serverStep !== undefined);
  const plans = plansOf(options, groups, terms);
  const layout = deltaLayout(plans);
  const metrics = { contributors, totalWeight, ...(options.truncate === undefined ? {} : { truncationError: 0 }) };
  if (layout.length === 0) {
    return { kind: "adapter", global, state: input.state, baseDelta: undefined, metrics };
  }
  input.sink.open(layout);
  const next: Aggregation = {
    passes: [
      productTermsPass<WrittenResidual>("residual", groupsOf(plans, "factored"), {
        expected: contributors,
        seal: (products, group) => writeResidual({ options, run, input, mean, group, products }),
      }),
      denseProductPass("dense residual", {
        modules: groupsOf(plans, "dense"),
        from: input.global,
        sent: global,
        scalingOf: (module) => scalingOf(run, module),
        sink: input.sink,
      }),
    ],
    finish: (sealed) => finish(sealed, input, mean, metrics),
  };
  return { kind: "continue", next };
}

const groupsOf = (plans: readonly DeltaPlan[], form: "factored" | "dense"): DeltaPlan["group"][] =>
  plans.filter(({ rank }) => (rank === undefined) === (form === "dense")).map(({ group }) => group);

function writeResidual({
  options,
  run,
  input,
  mean,
  group,
  products,
}: Omit<ResidualStage, "groups"> & {
  readonly group: DeltaPlan["group"];
  readonly products: readonly ProductTerm[];
}): WrittenResidual {
  const { left, right } = residualFactors(products, group.factors, {
    from: input.global,
    sent: mean.global,
    isMean: input.serverStep === undefined,
  });
  const module = moduleOf(group);
  const scaling = scalingOf(run, module);
  const rank = Math.min(options.truncate ?? Infinity, left.rows, right.rows);
  if (options.truncate === undefined || rank >= left.columns) {
    return { isFinite: writeFactors(input.sink, module, left, right, scaling), leftOut: 0 };
  }
  const { u, s, v, leftOut } = factoredProductSvd(left, right, rank);
  for (let j = 0; j < u.columns; j++) {
    for (let i = j * u.rows; i < (j + 1) * u.rows; i++) u.values[i] = (u.values[i] ?? 0) * (s[j] ?? 0);
  }
  return { isFinite: writeFactors(input.sink, module, u, v, scaling), leftOut: (scaling * leftOut) ** 2 };
}

function finish(
  sealed: SealedPasses,
  { round, state, baseVersion }: AggregationInput,
  { global }: CollectedMean,
  metrics: Readonly<Record<string, number>>,
): AggregationResult {
  const factored = [...(sealed.get("residual")?.values() ?? [])] as WrittenResidual[];
  const dense = [...(sealed.get("dense residual")?.values() ?? [])] as boolean[];
  if (!factored.every(({ isFinite }) => isFinite) || !dense.every(Boolean)) {
    return refused(`round ${round}: the residual is beyond float32`);
  }
  const truncationError = Math.sqrt(factored.reduce((sum, { leftOut }) => sum + leftOut, 0));
  return {
    kind: "adapter",
    global,
    state: { ...state, values: { ...state.values, editedBase: true } },
    baseDelta: { fromVersion: baseVersion, toVersion: baseVersion + 1 },
    metrics: "truncationError" in metrics ? { ...metrics, truncationError } : metrics,
  };
}
