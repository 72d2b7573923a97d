import { firstNonFinite, toStateDict } from "@fedlora/core";
import { z } from "zod";
import { columnMatrix, crossGram, gram, multiply } from "../linalg/column-matrix.js";
import type { ColumnMatrix } from "../linalg/column-matrix.js";
import { ridgeSolve } from "../linalg/ridge-solve.js";
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
import { collectMean, refused } from "../primitive/collect-mean.js";
import type { CollectedMean } from "../primitive/collect-mean.js";
import { biasClientsSchema, withBias } from "../primitive/factor-bias.js";
import { descendCosine } from "../primitive/fair-correction.js";
import { everyCodec } from "../primitive/method-parts.js";
import { projectedResidualPass } from "../primitive/projected-residual.js";
import { factorSizes, factorValues, productTermsPass, stackTerms, termA, termB } from "../primitive/product-terms.js";
import type { FactorSpecs, FactorValues, ProductTerm } from "../primitive/product-terms.js";
import { replaceFactors } from "../primitive/replace-factors.js";
import { usualMethod } from "../primitive/usual-method.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";

const lambda = z
  .number()
  .min(0)
  .max(1e6)
  .default(0.01)
  .describe("Weight of ||dB||_F^2, which holds B near the mean; 0 to 1000000, default 0.01.");
const optionsSchema = z.strictObject({
  solver: z
    .discriminatedUnion("kind", [
      z.strictObject({
        kind: z.literal("ridge").describe("Least squares in closed form: fixes the angle and the magnitude."),
        lambda,
      }),
      z.strictObject({
        kind: z.literal("cosine").describe("The paper's objective, 1 - cosine, by gradient descent from the mean."),
        lambda,
        steps: z.int().min(1).max(100_000).default(1000).describe("Gradient steps; 1 to 100000, default 1000."),
        learningRate: z
          .number()
          .positive()
          .max(10)
          .default(0.01)
          .describe("Step size; above 0, at most 10, default 0.01."),
      }),
    ])
    .prefault({ kind: "ridge" })
    .describe("How B is corrected; default ridge."),
  biasClients: biasClientsSchema,
});
export type LoraFairOptions = z.output<typeof optionsSchema>;

/**
 * LoRA-FAIR: A, B and heads are averaged as in FedIT, then B is corrected so that B A' comes near the mean of the
 * products D = sum_k p_k B_k A_k. With G = D A'^T and S = A' A'^T:
 * ridge: dB = (G - B' S) (S + lambda I)^-1, the minimum of ||D - (B' + dB) A'||_F^2 + lambda ||dB||_F^2;
 * cosine: gradient descent on 1 - cos(D, (B' + dB) A') + lambda ||dB||_F^2 from dB = 0.
 * A server optimizer acts on what comes out. The frozen weights are never changed.
 *
 * Ridge is the default: one r x r solve, no step size, and it also sets the magnitude, which the cosine leaves open; only
 * sums over the clients are held. The cosine holds all factors of one module and takes the paper's objective with the
 * squared norm, as re-implementations do; a step that would raise it is not taken. Where D or B' A' is zero (a first round without change) B stays.
 * Metrics: `correction`, ||dB||_F / ||B'||_F over all modules, and `bias`, what is left; see `withBias`.
 *
 * Paper: Bian et al., "LoRA-FAIR: Federated LoRA Fine-Tuning with Aggregation and Initialization Refinement", ICCV 2025.
 * Privacy: needs each client's factors, so no secure sums; noise of single updates multiplies.
 */
export const loraFair: MethodDefinition<LoraFairOptions> = {
  name: "lora-fair",
  version: 1,
  paper: "LoRA-FAIR (Bian et al. 2025)",
  summary: "Averages A and B, then corrects B towards the mean of the products.",
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
    privacyUnits: ["example"],
    weightings: ["uniform", "by-examples"],
    evaluation: "global",
  },
  create: (options, run) => createLoraFair(options, run),
};

/** A module's corrected B [dOut, r], row-major, and the squares that the metric takes. */
interface Corrected {
  readonly b: Float32Array;
  readonly change: number;
  readonly before: number;
}

function createLoraFair(options: LoraFairOptions, run: MethodRun): Method {
  const { adapterLayout } = run;
  const groups = adapterGroups(adapterLayout);
  return {
    ...usualMethod(loraFair, run),
    aggregate: (input) => ({
      passes: [weightedMeanPass("mean", groups, input.global)],
      finish(sealed) {
        const mean = collectMean(sealed, "mean", { ...input, serverStep: undefined });
        return mean.kind === "refused" ? mean : correct({ options, run, groups, input, mean });
      },
    }),
    bias: { kind: "measured", metric: "bias" },
  };
}

interface CorrectionStage {
  readonly options: LoraFairOptions;
  readonly run: MethodRun;
  readonly groups: readonly AdapterGroup[];
  readonly input: AggregationInput;
  readonly mean: CollectedMean;
}

function correct(stage: CorrectionStage): ContinuedAggregation {
  const { options, groups, input, mean } = stage;
  const { solver } = options;
  const pass =
    solver.kind === "ridge"
      ? projectedResidualPass("correction", groups, {
          from: input.global,
          sent: mean.global,
          seal: (residual, factors) => ridge(residual, solver.lambda, factors, factorValues(mean.global, factors)),
        })
      : productTermsPass("correction", groups, {
          expected: mean.contributors,
          seal: (terms, { factors }) =>
            cosine(terms, solver, factors, factorValues(input.global, factors), factorValues(mean.global, factors)),
        });
  return { kind: "continue", next: { passes: [pass], finish: (sealed) => finish(sealed, stage) } };
}

const noFactors: FactorValues = { a: new Float32Array(), b: new Float32Array() };

/** A' and B' as matrices by columns: A'^T [dIn, r], B' [dOut, r]. */
function sentFactors(factors: FactorSpecs, sent: FactorValues): { a: ColumnMatrix; b: ColumnMatrix } {
  const term = { rank: factorSizes(factors).rank, ...sent };
  return { a: termA(term, factors, noFactors), b: termB(term, factors, noFactors) };
}

function ridge(residual: ColumnMatrix, lambda: number, factors: FactorSpecs, sent: FactorValues): Corrected {
  const { a, b } = sentFactors(factors, sent);
  const change = ridgeSolve(gram(a), lambda, residual);
  return corrected(b, change);
}

function cosine(
  terms: readonly ProductTerm[],
  solver: Extract<LoraFairOptions["solver"], { kind: "cosine" }>,
  factors: FactorSpecs,
  from: FactorValues,
  sent: FactorValues,
): Corrected {
  const { a, b } = sentFactors(factors, sent);
  const { left, right } = stackTerms(terms, factors, from);
  const [gramLeft, gramRight] = [gram(left), gram(right)];
  let square = 0;
  for (let i = 0; i < gramLeft.values.length; i++) square += (gramLeft.values[i] ?? 0) * (gramRight.values[i] ?? 0);
  const target = multiply(left, crossGram(right, a));
  const norm = Math.sqrt(Math.max(0, square));
  const found = descendCosine({ mean: b, target, gramA: gram(a), norm }, solver);
  const change = columnMatrix(b.rows, b.columns);
  if (found !== undefined) {
    for (let i = 0; i < change.values.length; i++) change.values[i] = (found.values[i] ?? 0) - (b.values[i] ?? 0);
  }
  return corrected(b, change);
}

function corrected(b: ColumnMatrix, change: ColumnMatrix): Corrected {
  const { rows, columns } = b;
  const out = new Float32Array(rows * columns);
  let changed = 0;
  let before = 0;
  for (let q = 0; q < columns; q++) {
    for (let i = 0; i < rows; i++) {
      const value = b.values[q * rows + i] ?? 0;
      const step = change.values[q * rows + i] ?? 0;
      // A zero step keeps the value's bits, the sign of a zero included.
      out[i * columns + q] = step === 0 ? value : value + step;
      changed += step * step;
      before += value * value;
    }
  }
  return { b: out, change: changed, before };
}

function finish(
  sealed: SealedPasses,
  { options, run, groups, input, mean }: CorrectionStage,
): AggregationResult | ContinuedAggregation {
  const modules = (sealed.get("correction") ?? new Map()) as ReadonlyMap<string, Corrected>;
  const found = groups.flatMap(({ name }) => modules.get(name) ?? []);
  const change = found.reduce((sum, module) => sum + module.change, 0);
  const before = found.reduce((sum, module) => sum + module.before, 0);
  const aggregated = replaceFactors(mean.global, groups, input, (name) => modules.get(name));
  if (aggregated.kind === "refused") return aggregated;
  const stepped = input.serverStep?.(aggregated.global) ?? aggregated.global;
  const overflown = [...stepped].find(([, tensor]) => firstNonFinite(tensor) >= 0);
  if (overflown !== undefined) return refused(`round ${input.round}: "${overflown[0]}" is beyond float32`);
  const { contributors, totalWeight } = mean;
  const global = toStateDict([...mean.global, ...stepped]);
  const metrics = { contributors, totalWeight, correction: change === 0 ? 0 : Math.sqrt(change / before) };
  const exactUpTo = options.biasClients;
  const { seed } = run.spec.training;
  return withBias(
    { kind: "adapter", global, state: input.state, baseDelta: undefined, metrics },
    { input, groups, contributors, exactUpTo, against: global, seed },
  );
}
