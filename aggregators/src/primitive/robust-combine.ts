import { fromFloat32, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor, TensorSpec } from "@fedlora/core";
import { factoredProductSvd, tailNorm } from "../linalg/factored-product-svd.js";
import type { AggregationPass } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { tensorOf } from "./method-parts.js";
import { factorSizes, factorValues, scaled, sideBySide } from "./product-terms.js";
import type { FactorSpecs, FactorValues } from "./product-terms.js";
import { factorPoints } from "./robust-geometry.js";
import type { FactorPoint } from "./robust-geometry.js";
import type { Shares } from "./robust-rules.js";
import { deltaOf, samplesPass } from "./robust-samples.js";
import type { Sample, SamplesOptions } from "./robust-samples.js";
import { moved, singleModel } from "./single-model.js";
import { svdFactors } from "./svd-factors.js";

/** The new tensors of one group, F32, and how well they hold what they stand for. */
export interface Combined {
  /** Updates that the group has seen. */
  readonly contributors: number;
  readonly tensors: StateDict;
  /** Squared Frobenius norms, the scaling left out: of the product that was wanted, and of what the rank leaves out. */
  readonly square: number;
  readonly leftOut: number;
}

type Product = Omit<Combined, "contributors">;

/** What a result is made of, group by group: shares of the points, in the order of the ids. */
export interface CombinedShares {
  readonly products: Shares;
  readonly heads: Shares;
}

/**
 * Combines the updates' models in given shares: of a module the products, sum_k share_k B_k A_k, decomposed to the run's
 * rank (QR of the stacked factors, the product is never formed); of a head the values. Where B alone travels that is linear
 * and exact: B + sum_k share_k dB_k. A module whose result is a single adapter, or several equal ones, keeps its factors,
 * bit by bit.
 */
export function combinePass(
  name: string,
  groups: readonly AdapterGroup[],
  global: StateDict,
  shares: CombinedShares,
  reading: Pick<SamplesOptions<AdapterGroup, unknown>, "tensorsOf" | "expected">,
): AggregationPass<unknown, Combined> {
  return samplesPass<AdapterGroup, Combined>(name, groups, {
    ...reading,
    seal(samples, group) {
      const contributors = samples.length;
      const { factors } = group;
      const uploaded = reading.tensorsOf(group);
      if (factors === undefined) return { contributors, ...linear(uploaded, samples, global, shares.heads) };
      const counted = samples.filter((_, k) => shares.products[k + 1] !== 0);
      const same = singleModel(uploaded, counted, global, shares.products[0] !== 0);
      if (same !== undefined) return { contributors, tensors: same, square: 0, leftOut: 0 };
      if (uploaded.length === 1) return { contributors, ...linear(uploaded, samples, global, shares.products) };
      return { contributors, ...decomposed(samples, factors, factorValues(global, factors), shares.products) };
    },
  });
}

/** global + sum share_k delta_k in float64, rounded once. */
function linear(specs: readonly TensorSpec[], samples: readonly Sample[], global: StateDict, shares: Shares): Product {
  const tensors = specs.map(({ name, shape }): [string, Tensor] => {
    const from = toFloat32(tensorOf(global, name));
    const sum = new Float64Array(from.length);
    samples.forEach((sample, k) => {
      const share = shares[k + 1] ?? 0;
      if (share !== 0) deltaOf(sample, name).forEach((delta, i) => (sum[i] = (sum[i] ?? 0) + share * delta));
    });
    return [name, fromFloat32(moved(from, sum), shape)];
  });
  return { tensors: new Map(tensors), square: 0, leftOut: 0 };
}

function decomposed(samples: readonly Sample[], specs: FactorSpecs, from: FactorValues, shares: Shares): Product {
  const { rank, dIn, dOut } = factorSizes(specs);
  const points = factorPoints(samples, specs, from).flatMap(
    (point, k): (FactorPoint & { readonly share: number })[] => {
      const share = shares[k] ?? 0;
      return share === 0 ? [] : [{ ...point, share }];
    },
  );
  const left = sideBySide(
    dOut,
    points.map(({ b }) => b),
  );
  const right = sideBySide(
    dIn,
    points.map(({ a, share }) => scaled(a, share)),
  );
  const svd = factoredProductSvd(left, right, rank);
  return {
    tensors: factorTensors(svdFactors(svd, specs, from), specs),
    square: tailNorm(svd.s, 0) ** 2,
    leftOut: tailNorm(svd.s, rank) ** 2,
  };
}

export function factorTensors({ a, b }: FactorValues, specs: FactorSpecs): StateDict {
  return new Map([
    [specs.a.name, fromFloat32(a, specs.a.shape)],
    [specs.b.name, fromFloat32(b, specs.b.shape)],
  ]);
}
