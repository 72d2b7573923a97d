import { canonicalLayout } from "@fedlora/core";
import type { AdapterSpec, RunSpecInput, TensorLayout, TensorSpec } from "@fedlora/core";
import type { ClientCapability, Method, MethodDefinition, MethodRunState, UpdateView } from "../method.js";
import type { Dense, DenseState } from "./dense.js";

/** One update for the oracle: what `UpdateView` says of it, its tensors dense and in float64. */
export interface OracleUpdate extends Pick<
  UpdateView,
  "id" | "clientId" | "weight" | "numExamples" | "numSteps" | "receivedLoss"
> {
  /** The tensors that travelled, in the shapes of the client's ranks. */
  readonly tensors: DenseState;
}

/** A round as the oracle sees it. */
export interface OracleRound {
  readonly global: DenseState;
  /** At least one, every weight above 0. */
  readonly updates: readonly OracleUpdate[];
  readonly layout: TensorLayout;
  /** Names of the adapted modules, without `base_model.model.`. */
  readonly modules: readonly string[];
  readonly scaling: (module: string) => number;
}

/** What must come out; what is left out is not checked. */
export interface OracleResult {
  /** Values of tensors of the new global adapter. */
  readonly tensors?: DenseState | undefined;
  /** By module, what is added to its base weight in all: the round's base delta plus scaling times the adapter's product. */
  readonly weights?: ReadonlyMap<string, Dense> | undefined;
}

/** Properties that do not hold for every method. A row says why, where one does not for its own. */
export type ExceptableProperty =
  /** Holds to the row's tolerance in the effective weights, not bit by bit (decompositions, float64 shares). */
  | "bits"
  /** Takes values up to 1e30. */
  | "extreme-values"
  /** One client, or several that agree, gives exactly its own adapter. */
  | "own-adapter"
  /** Updates of zeros change nothing. */
  | "zero-updates"
  /** A client counts as much as two of half its weight. */
  | "split-client"
  /** A common factor of the weights changes nothing. */
  | "common-factor"
  /** An update of weight 0 is as good as absent. */
  | "weightless"
  /** What the server step returns is what is sent. */
  | "server-step"
  /** The bytes down are those of the downloaded roles. */
  | "download-bytes"
  /** Where the declaration says that a sum is enough, the sum of the updates gives the same. */
  | "sums"
  /** An update that lacks a module's factor is refused, as one that lacks a part of a head always is. */
  | "missing-factor";

/**
 * A row of the contract's table: a method with options, and what it must give. A method has one row or several: one per
 * variant of the adapter, phase, parity of rounds, or option that changes the formula.
 */
export interface MethodCase {
  readonly definition: MethodDefinition;
  /** Tells a method's rows apart: `mixed ranks`. */
  readonly label?: string;
  /** As in the run spec. */
  readonly options: Readonly<Record<string, unknown>>;
  /** More of the run spec: `{ adapter: { rank: 2, targetModules: ["query"], variant: "vera" } }`. */
  readonly spec?: Partial<RunSpecInput>;
  /** Default: `contractLayouts` of the spec's adapter variant. */
  readonly layout?: TensorLayout;
  /** Ranks that clients have, one of them each; default: all have full rank. See `mixedRanks`. */
  readonly ranks?: readonly ClientCapability["ranks"][];
  /** Default 1. */
  readonly round?: number;
  /** Run state that the round starts from; default: the initial one. */
  readonly state?: (method: Method) => MethodRunState;
  /** Fewest updates that the method can aggregate; default 1. */
  readonly minUpdates?: number;
  /** Dense float64 arithmetic written from the paper, apart from the method. */
  oracle(round: OracleRound): OracleResult;
  /** Largest difference to the oracle, relative to the largest value of the tensor or to 1, whichever is more; default 1e-6. */
  readonly tolerance?: number;
  /** What does not hold for this row, and why: a reason in words. */
  readonly except?: Readonly<Partial<Record<ExceptableProperty, string>>>;
}

const spec = (name: string, ...shape: number[]): TensorSpec => ({
  name: `base_model.model.${name}`,
  dtype: "F32",
  shape,
});
const factors: readonly TensorSpec[] = [
  spec("layer.0.query.lora_A.weight", 2, 5),
  spec("layer.0.query.lora_B.weight", 7, 2),
  spec("layer.1.value.lora_A.weight", 3, 6),
  spec("layer.1.value.lora_B.weight", 4, 3),
];
const head: readonly TensorSpec[] = [spec("classifier.weight", 3, 4), spec("classifier.bias", 3)];

/** dIn and dOut differ, ranks differ between modules, and a head has a bias: transposed shapes cannot pass. */
export const contractLayouts: Readonly<Record<AdapterSpec["variant"], TensorLayout>> = {
  lora: canonicalLayout([...factors, ...head]),
  latent: canonicalLayout([
    ...factors,
    ...head,
    spec("layer.0.query.lora_R.weight", 2, 2),
    spec("layer.1.value.lora_R.weight", 3, 3),
  ]),
  vera: canonicalLayout([
    ...factors,
    ...head,
    spec("layer.0.query.vera_lambda_d", 2),
    spec("layer.0.query.vera_lambda_b", 7),
    spec("layer.1.value.vera_lambda_d", 3),
    spec("layer.1.value.vera_lambda_b", 4),
  ]),
};

/** Neither is 1, nor are they equal: a scaling that is forgotten or exchanged cannot pass. */
export const contractScalings: Readonly<Record<string, number>> = { "layer.0.query": 2, "layer.1.value": 0.5 };

/** Full rank, prefixes, and clients that do not hold every module. */
export const mixedRanks: readonly ClientCapability["ranks"][] = [
  undefined,
  { "layer.0.query": 1, "layer.1.value": 2 },
  { "layer.0.query": 2, "layer.1.value": 1 },
  { "layer.1.value": 3 },
];
