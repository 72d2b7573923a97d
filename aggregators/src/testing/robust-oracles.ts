import { tensorKindOf } from "@fedlora/core";
import { dense, keyOf, plus, product, times } from "./dense.js";
import type { Dense, DenseState } from "./dense.js";
import type { OracleResult, OracleRound, OracleUpdate } from "./method-case.js";

/** A model as one dense matrix per module (scaling times B A) and per head. */
type Model = DenseState;

/** What an adapter does, dense. */
function modelOf({ modules, scaling }: OracleRound, adapter: DenseState): Model {
  const effective = modules.map((module): [string, Dense] => [
    module,
    times(
      scaling(module),
      product(adapter.get(keyOf(module, "lora_B.weight"))!, adapter.get(keyOf(module, "lora_A.weight"))!),
    ),
  ]);
  return new Map([...effective, ...[...adapter].filter(([name]) => tensorKindOf(name) === "head")]);
}

function ownAdapter({ global }: OracleRound, { tensors }: OracleUpdate): DenseState {
  return new Map([...global].map(([name, from]) => [name, tensors.has(name) ? plus(from, tensors.get(name)!) : from]));
}

/** The models and adapters of the updates, in the order of ids. */
function models(round: OracleRound): {
  readonly weights: readonly number[];
  readonly models: readonly Model[];
  readonly adapters: readonly DenseState[];
} {
  const sorted = round.updates.toSorted((x, y) => (x.id < y.id ? -1 : 1));
  const adapters = sorted.map((update) => ownAdapter(round, update));
  const weights = sorted.map(({ weight }) => weight);
  return { weights, models: adapters.map((adapter) => modelOf(round, adapter)), adapters };
}

const combine = (x: Model, y: Model, of: (a: Dense, b: Dense) => Dense): Model =>
  new Map([...x].map(([name, matrix]) => [name, of(matrix, y.get(name)!)]));
const minus = (x: Model, y: Model): Model => combine(x, y, (a, b) => plus(a, times(-1, b)));
const add = (x: Model, y: Model): Model => combine(x, y, plus);
const scale = (factor: (name: string) => number, x: Model): Model =>
  new Map([...x].map(([name, matrix]) => [name, times(factor(name), matrix)]));

/** Over the modules, or over the heads. */
function normOf(model: Model, heads: boolean): number {
  return Math.hypot(...[...model].flatMap(([name, { values }]) => (isHead(name) === heads ? [...values] : [])));
}
const isHead = (name: string): boolean => name.startsWith("base_model.model.");

function weightedModel(all: readonly Model[], weights: readonly number[]): Model {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return all.map((model, k) => scale(() => weights[k]! / total, model)).reduce(add);
}

/** Indices by ascending score, the first of equal ones first. */
function byScore(all: readonly Model[], indices: readonly number[], faulty: number): readonly number[] {
  const scored = indices.map((i) => {
    const distances = indices
      .filter((j) => j !== i)
      .map((j) => {
        const difference = minus(all[i]!, all[j]!);
        return normOf(difference, false) ** 2 + normOf(difference, true) ** 2;
      });
    const nearest = distances.sort((x, y) => x - y).slice(0, Math.max(1, indices.length - faulty - 2));
    return { i, score: nearest.reduce((sum, distance) => sum + distance, 0) };
  });
  return scored.sort((x, y) => x.score - y.score || x.i - y.i).map(({ i }) => i);
}

export const krumOracle =
  (faulty: number, countOf: (n: number) => number) =>
  (round: OracleRound): OracleResult => {
    const { models: all, weights } = models(round);
    const picked = byScore(all, [...all.keys()], faulty).slice(0, countOf(all.length));
    return {
      weights: weightedModel(
        picked.map((k) => all[k]!),
        picked.map((k) => weights[k]!),
      ),
    };
  };

const clipped = (change: Model, bound: number, headBound: number): Model => {
  const factor = (norm: number, most: number): number => (norm > most ? most / norm : 1);
  const [products, heads] = [factor(normOf(change, false), bound), factor(normOf(change, true), headBound)];
  return scale((name) => (isHead(name) ? heads : products), change);
};

/** The lower median of the changes' norms. */
function medianNorm(all: readonly Model[], from: Model, ofHeads: boolean): number {
  const norms = all.map((model) => normOf(minus(model, from), ofHeads)).sort((x, y) => x - y);
  return norms[Math.floor((norms.length - 1) / 2)]!;
}

/** Without bounds by the medians. */
export const normBoundOracle =
  (most?: readonly [number, number]) =>
  (round: OracleRound): OracleResult => {
    const { models: all, weights } = models(round);
    const from = modelOf(round, round.global);
    const [bound, headBound] = most ?? [medianNorm(all, from, false), medianNorm(all, from, true)];
    return {
      weights: add(
        from,
        weightedModel(
          all.map((model) => clipped(minus(model, from), bound, headBound)),
          weights,
        ),
      ),
    };
  };

export const centredOracle =
  (iterations: number, most?: readonly [number, number]) =>
  (round: OracleRound): OracleResult => {
    const { models: all, weights } = models(round);
    let centre = modelOf(round, round.global);
    const [bound, headBound] = most ?? [medianNorm(all, centre, false), medianNorm(all, centre, true)];
    for (let i = 0; i < iterations; i++) {
      const steps = all.map((model) => clipped(minus(model, centre), bound, headBound));
      centre = add(centre, weightedModel(steps, weights));
    }
    return { weights: centre };
  };

/** Of every element what `rule` makes of the sorted values of all models. */
function elementWise(all: readonly Model[], rule: (sorted: readonly number[]) => number): Model {
  return new Map(
    [...all[0]!].map(([name, { rows, columns }]) => [
      name,
      dense(rows, columns, (i, j) =>
        rule(all.map((model) => model.get(name)!.values[i * columns + j]!).sort((x, y) => x - y)),
      ),
    ]),
  );
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const middle = (sorted: readonly number[]): number =>
  mean(sorted.slice(Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2) + 1));

/** What the elements are taken of: of the products (and the heads), or of the tensors, of which only B and heads travel. */
export type Elements = "products" | "tensors";

/** Element by element over some of the updates; all by default. */
function coordinateOracle(
  elements: Elements,
  rule: (sorted: readonly number[], n: number) => number,
  chosenOf: (all: readonly Model[]) => readonly number[] = (all) => [...all.keys()],
): (round: OracleRound) => OracleResult {
  return (round) => {
    const { models: all, adapters } = models(round);
    const chosen = chosenOf(all);
    const of = chosen.map((k) => (elements === "products" ? all : adapters)[k]!);
    const result = elementWise(of, (sorted) => rule(sorted, all.length));
    return elements === "products" ? { weights: result } : { tensors: result };
  };
}

export const trimmedOracle = (trim: number) => (elements: Elements) =>
  coordinateOracle(elements, (sorted) => {
    const dropped = Math.floor(trim * sorted.length);
    return mean(sorted.slice(dropped, sorted.length - dropped));
  });

export const medianOracle = (elements: Elements) => coordinateOracle(elements, middle);

export const bulyanOracle = (faulty: number) => (elements: Elements) =>
  coordinateOracle(
    elements,
    (sorted, n) => {
      const centre = middle(sorted);
      // A stable sort keeps the lower of two at the same distance first.
      const closest = sorted.toSorted((x, y) => Math.abs(x - centre) - Math.abs(y - centre));
      return mean(closest.slice(0, n - 4 * faulty));
    },
    (all) => {
      const chosen: number[] = [];
      while (chosen.length < all.length - 2 * faulty) {
        const left = [...all.keys()].filter((k) => !chosen.includes(k));
        chosen.push(byScore(all, left, faulty)[0]!);
      }
      return chosen;
    },
  );
