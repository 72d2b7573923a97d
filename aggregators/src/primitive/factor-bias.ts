import { elementCount } from "@fedlora/core";
import type { ClientId, StateDict } from "@fedlora/core";
import { z } from "zod";
import type {
  AggregationInput,
  AggregationPass,
  AggregationResult,
  ContinuedAggregation,
  SealedPasses,
  TensorGroup,
  UpdateView,
} from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { biasGramPass } from "./bias-gram.js";
import { biasSketchPass } from "./bias-sketch.js";
import { factorGroups, factorSizes } from "./product-terms.js";

/** Squared Frobenius norms for one module. */
export interface FactorBias {
  /** || sum p_k B_k A_k - B' A' ||^2 */
  readonly residual: number;
  /** || sum p_k B_k A_k ||^2 */
  readonly ideal: number;
  /** Standard deviation of either square, relative to it, at most; 0 where it is computed and not estimated. */
  readonly deviation: number;
}

/** The option of methods that report their bias. */
export const biasClientsSchema = z
  .int()
  .min(0)
  .max(32)
  .default(32)
  .describe(
    "Contributors up to which the aggregation bias is computed, and not estimated; 0 to 32, 0 switches it off; default 32.",
  );

export interface BiasOptions {
  readonly input: AggregationInput;
  readonly groups: readonly AdapterGroup[];
  /** Updates with a weight above 0. */
  readonly contributors: number;
  /** Contributors up to which it is computed and not estimated; 0 switches it off. */
  readonly exactUpTo: number;
  /** What B' and A' are: the means of the factors, or those of an adapter that is sent. */
  readonly against: "means" | StateDict;
  /** Of the run, for the sketch. */
  readonly seed: number;
  /** p_k before they are normalised, from 0 on; default: the updates' weights. */
  readonly weightOf?: ((update: UpdateView) => number) | undefined;
  /** With which the adapter that the clients started from counts among theirs; default 0: it does not. */
  readonly startWeight?: number | undefined;
}

type Adapter = Extract<AggregationResult, { kind: "adapter" }>;

/** Multiply-adds that Gram matrices may cost in a round: about a second. */
const maxGramWork = 2 ** 30;
/** Values that a sketch may read in a round: a few seconds. */
const maxSketchWork = 2 ** 31;

/**
 * Adds to a method's result how far what it sends is from the mean of the clients' products, where single updates are
 * visible: `bias` = || sum p_k B_k A_k - B' A' ||_F / || sum p_k B_k A_k ||_F over all modules, scalings left out, p_k over
 * the contributors that hold a module, what they count with there. For the means of the factors the difference is their cross-covariance over the
 * clients, sum p_k (B_k - Bbar) (A_k - Abar). No matrix is dOut x dIn.
 *
 * Up to `exactUpTo` contributors, and where the work allows, it is computed from Gram matrices. Else it is estimated from
 * linear sketches of all updates (`bias-sketch.ts`), of every n-th module where all would take more than a few seconds.
 * `biasError` is one standard deviation of `bias` by that estimation, at most; 0 where it is computed.
 *
 * No bit of either depends on the order of the updates. Modules whose sketches are beyond float32 are left out; where
 * nothing can be measured, both are.
 */
export function withBias(result: Adapter, options: BiasOptions): AggregationResult | ContinuedAggregation {
  const { input, groups, contributors, exactUpTo } = options;
  const modules = factorGroups(groups);
  if (exactUpTo === 0 || input.visible === "sum" || modules.length === 0) return result;
  const isExact = contributors <= exactUpTo && gramWork(modules, contributors) <= maxGramWork;
  const pass = isExact
    ? biasGramPass("bias", modules, options)
    : biasSketchPass("bias", sketchedModules(modules, options), options);
  const finish = (sealed: SealedPasses): AggregationResult => {
    const parts = [...(sealed.get("bias")?.values() ?? [])] as (FactorBias | undefined)[];
    return { ...result, metrics: { ...result.metrics, ...relativeBias(parts) } };
  };
  return { kind: "continue", next: { passes: [weighed<unknown>(pass, options)], finish } };
}

/** A pass that counts the updates otherwise, and the adapter that they started from. */
function weighed<State>(
  pass: AggregationPass<State>,
  { weightOf, startWeight = 0 }: BiasOptions,
): AggregationPass<State> {
  return {
    ...pass,
    fold: (state, update, group) =>
      pass.fold(state, weightOf === undefined ? update : { ...update, weight: weightOf(update) }, group),
    seal(state, group) {
      if (startWeight > 0) pass.fold(state, unchanged(group, startWeight), group);
      return pass.seal(state, group);
    },
  };
}

/** As of a client that changed nothing. */
function unchanged({ tensors }: TensorGroup, weight: number): UpdateView {
  const shapeOf = (name: string): readonly number[] | undefined => tensors.find((spec) => spec.name === name)?.shape;
  const tensor = (name: string): Float32Array => new Float32Array(elementCount(shapeOf(name) ?? [0]));
  const nobody = {
    id: "",
    clientId: "" as ClientId,
    numExamples: 0,
    numSteps: 0,
    staleness: 0,
    receivedLoss: undefined,
  };
  return { ...nobody, weight, shape: shapeOf, tensor };
}

/**
 * The relative bias over all modules, sqrt(sum residual / sum ideal), and its standard deviation: the modules' sketches
 * are independent, and the errors of numerator and denominator are added.
 */
function relativeBias(parts: readonly (FactorBias | undefined)[]): { bias?: number; biasError?: number } {
  const measured = parts.filter((part) => part !== undefined);
  if (measured.length === 0) return {};
  const residual = total(measured, ({ residual: square }) => square);
  const ideal = total(measured, ({ ideal: square }) => square);
  if (residual.sum === 0) return { bias: 0, biasError: 0 };
  // Products that cancel each other to nothing have no size that a difference could be relative to.
  if (ideal.sum === 0) return {};
  const bias = Math.sqrt(residual.sum / ideal.sum);
  return { bias, biasError: (bias / 2) * (residual.deviation + ideal.deviation) };
}

/** The sum of squares, and its standard deviation relative to it. */
function total(parts: readonly FactorBias[], square: (part: FactorBias) => number): { sum: number; deviation: number } {
  const sum = parts.reduce((before, part) => before + square(part), 0);
  const variance = parts.reduce((before, part) => before + (part.deviation * square(part)) ** 2, 0);
  return { sum, deviation: sum === 0 ? 0 : Math.sqrt(variance) / sum };
}

/** ((clients + 1) rank)^2 (dIn + dOut) / 2 multiply-adds per module. */
function gramWork(modules: ReturnType<typeof factorGroups>, clients: number): number {
  return modules.reduce((sum, { factors }) => {
    const { rank, dIn, dOut } = factorSizes(factors);
    return sum + (((clients + 1) * rank) ** 2 * (dIn + dOut)) / 2;
  }, 0);
}

/** All modules, or every n-th from one that changes with the round. */
function sketchedModules(
  modules: ReturnType<typeof factorGroups>,
  { input, contributors }: BiasOptions,
): ReturnType<typeof factorGroups> {
  const work = modules.reduce((sum, { factors }) => {
    const { rank, dIn, dOut } = factorSizes(factors);
    return sum + contributors * rank * (dIn + dOut);
  }, 0);
  const stride = Math.min(modules.length, Math.max(1, Math.ceil(work / maxSketchWork)));
  return modules.filter((_, i) => i % stride === input.round % stride);
}
