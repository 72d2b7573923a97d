import { deriveKey, fromFloat32, randomKey, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor, TensorSpec } from "@fedlora/core";
import type { Aggregation, AggregationPass } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { tensorOf } from "./method-parts.js";
import { factorSizes, factorValues } from "./product-terms.js";
import { factorTensors } from "./robust-combine.js";
import type { Combined } from "./robust-combine.js";
import type { CoordinateRule } from "./robust-coordinates.js";
import { factorPoints } from "./robust-geometry.js";
import { coordinateProduct } from "./robust-product.js";
import { deltaOf, samplesPass } from "./robust-samples.js";
import type { Sample } from "./robust-samples.js";
import { finishCombined } from "./robust-method.js";
import type { RobustRound } from "./robust-method.js";
import { moved, singleModel } from "./single-model.js";
import { svdFactors } from "./svd-factors.js";

/**
 * Applies a rule to each coordinate: of a module to the elements of the products B_k A_k, decomposed to the run's rank; of
 * heads, and where B alone travels, to the changes of the tensor, which is exact. Every update counts the same. Sealed:
 * undefined where there is none.
 *
 * @param chosen ids of the updates that count; undefined: all
 */
function coordinatePass(
  name: string,
  rule: CoordinateRule,
  { run: { spec }, input: { global, round }, groups, reading }: RobustRound,
  chosen?: ReadonlySet<string>,
): AggregationPass<unknown, Combined | undefined> {
  return samplesPass<AdapterGroup, Combined | undefined>(name, groups, {
    ...reading,
    seal(all, group) {
      const samples = chosen === undefined ? all : all.filter(({ id }) => chosen.has(id));
      if (samples.length === 0) return undefined;
      const contributors = all.length;
      const { factors } = group;
      const uploaded = reading.tensorsOf(group);
      const same = singleModel(uploaded, samples, global, false);
      if (same !== undefined) return { contributors, tensors: same, square: 0, leftOut: 0 };
      if (factors === undefined || uploaded.length === 1) {
        return { contributors, tensors: perTensor(uploaded, samples, global, rule), square: 0, leftOut: 0 };
      }
      const from = factorValues(global, factors);
      const [, ...points] = factorPoints(samples, factors, from);
      const key = deriveKey(randomKey(spec.training.seed), "robust-product", round, group.name);
      const { svd, square, leftOut } = coordinateProduct(points, rule, factorSizes(factors).rank, key);
      return { contributors, tensors: factorTensors(svdFactors(svd, factors, from), factors), square, leftOut };
    },
  });
}

/** global + rule(deltas) in float64, rounded once. */
function perTensor(
  specs: readonly TensorSpec[],
  samples: readonly Sample[],
  global: StateDict,
  rule: CoordinateRule,
): StateDict {
  const values = new Float64Array(samples.length);
  const tensors = specs.map(({ name, shape }): [string, Tensor] => {
    const deltas = samples.map((sample) => deltaOf(sample, name));
    const from = toFloat32(tensorOf(global, name));
    const changes = Float64Array.from(from, (_, i) => {
      for (let k = 0; k < values.length; k++) values[k] = deltas[k]?.[i] ?? 0;
      return rule(values);
    });
    return [name, fromFloat32(moved(from, changes), shape)];
  });
  return new Map(tensors);
}

/** All of a round for rules that look at each coordinate and nothing else. */
export function coordinateAggregation(
  round: RobustRound,
  rule: CoordinateRule,
  metrics: Readonly<Record<string, number>> = {},
  chosen?: ReadonlySet<string>,
): Aggregation {
  return {
    passes: [coordinatePass("combined", rule, round, chosen)],
    finish: (sealed) => finishCombined(sealed, "combined", round, metrics),
  };
}
