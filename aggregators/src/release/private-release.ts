import { elementCount, FedLoraError, SecretRandom, toFloat32, unclippedShare } from "@fedlora/core";
import type { ClientId, StateDict, TensorLayout } from "@fedlora/core";
import type { TensorGroup, UpdateView } from "../method.js";
import { ratioMeanPass } from "../primitive/weighted-mean.js";
import type { WeightedMean } from "../primitive/weighted-mean.js";
import { sealSpans } from "../run-passes.js";
import type { Sweep } from "../run-passes.js";
import { clipFactor, floorFloat32, updateNorm } from "./clip-factor.js";

/** What a round under client-level differential privacy releases, and how. */
export interface ReleaseTerms {
  /** Every tensor that clients upload, decoded, in canonical order. */
  readonly layout: TensorLayout;
  /** L2 norm, over all tensors together, that each update is clipped to; what one client adds to the sum at most. */
  readonly clipNorm: number;
  /** Standard deviation of the noise on each value of the sum. */
  readonly noiseStd: number;
  /** What the sum is divided by: the updates that are expected, whatever came. An integer from 1 to 2^24. */
  readonly expected: number;
  /** The largest weight that the run's weighting gives; an update counts with its weight over this, at most 1. */
  readonly largestWeight: number;
  /** 32 secret bytes that all noise of the round is expanded from. */
  readonly key: Uint8Array;
  /** Standard deviation of the noise on the count of unclipped updates; undefined: it is not released. */
  readonly countNoise: number | undefined;
}

export interface Release {
  /** What the method gets in place of the clients' updates: one of weight 1, the noised mean change. */
  readonly update: UpdateView;
  /** Noised share of updates that needed no clipping, in [0, 1]; undefined where it is not released. */
  readonly unclippedShare: number | undefined;
}

/**
 * The Gaussian mechanism over a round's updates: (sum_k f_k delta_k + N(0, noiseStd^2)) / expected, where
 * f_k = weight_k / largestWeight * min(1, clipNorm / ||delta_k||). One client, there or not, changes the sum by at most
 * `clipNorm`; nothing else about the updates leaves this function, neither their number nor a norm.
 *
 * Sum and noise are added as real numbers and rounded once, after the division, to float32: so the result does not depend on
 * the order of the updates, and no bits of the sum below the noise's grid survive. The noise enters as two float32 values,
 * 48 of its bits. Each tensor's is expanded from the key and the tensor's place in the layout.
 *
 * Source: McMahan et al., "Learning Differentially Private Recurrent Language Models", 2018; Andrew et al. 2021.
 *
 * @throws FedLoraError `update-not-finite`, `update-tensor-missing`, `update-weight` for a weight above the largest
 */
export function privateRelease(terms: ReleaseTerms, sweep: Sweep): Release {
  const { layout, expected } = terms;
  const { factors, unclipped } = clip(terms, sweep);
  const termOf = ({ id }: UpdateView): { readonly weight: number; readonly divisor: number } =>
    id === noiseIds.high ? { weight: 1, divisor: expected } : { weight: factors.get(id) ?? 1, divisor: 0 };
  const groups = layout.map((spec): TensorGroup => ({ name: spec.name, tensors: [spec] }));
  const mean = ratioMeanPass("release", groups, { base: undefined, termOf });
  const noise = noiseUpdates(terms);
  const all: Sweep = (visit) => {
    sweep(visit);
    noise.forEach(visit);
  };
  let taken = 0;
  const sealed = sealSpans({ passes: [mean] }, all, () => taken++).get(mean.name);
  const means = [...(sealed?.values() ?? [])] as WeightedMean[];
  const draw = new SecretRandom(terms.key, nonce("count", 0));
  return {
    update: oneUpdate(new Map(means.flatMap(({ tensors }) => [...tensors]))),
    unclippedShare:
      terms.countNoise === undefined
        ? undefined
        : unclippedShare(unclipped, factors.size - unclipped, terms.countNoise * draw.normal(), expected),
  };
}

/** The factor of every update, and how many were within the clip norm. */
function clip(
  { layout, clipNorm, largestWeight }: ReleaseTerms,
  sweep: Sweep,
): { readonly factors: ReadonlyMap<string, number>; readonly unclipped: number } {
  const count = layout.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const factors = new Map<string, number>();
  let unclipped = 0;
  sweep((update) => {
    const { id, weight } = update;
    if (!(weight >= 0 && weight <= largestWeight)) {
      const message = `weight ${weight} of update "${id}" is not in [0, ${largestWeight}]: its sensitivity has no bound`;
      throw new FedLoraError("update-weight", message, { details: { updateId: id } });
    }
    const norm = updateNorm(update, layout);
    if (norm <= clipNorm) unclipped += 1;
    factors.set(id, floorFloat32(clipFactor(norm, clipNorm, count) * (weight / largestWeight)));
  });
  return { factors, unclipped };
}

/** No plan has such an id: they hold dots. */
const noiseIds = { high: "noise", low: "noise-low" };

/** The noise as two updates, whose values sum to it. */
function noiseUpdates({ layout, noiseStd, key }: ReleaseTerms): readonly UpdateView[] {
  const places = new Map(layout.map(({ name }, index) => [name, index]));
  const shapes = new Map(layout.map(({ name, shape }) => [name, shape]));
  const values = (name: string): Float64Array => {
    const noise = new Float64Array(elementCount(shapes.get(name) ?? []));
    new SecretRandom(key, nonce("tensor", places.get(name) ?? 0)).addNormals(noise, noiseStd);
    return noise;
  };
  const view = (id: string, tensor: (name: string) => Float32Array): UpdateView => ({
    ...nobody,
    id,
    shape: (name) => shapes.get(name),
    tensor,
  });
  return [
    view(noiseIds.high, (name) => Float32Array.from(values(name))),
    view(noiseIds.low, (name) => Float32Array.from(values(name), (value) => value - Math.fround(value))),
  ];
}

/** Twelve bytes, different for every draw of a round: streams under one key must not overlap. */
function nonce(purpose: "tensor" | "count", index: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, purpose === "tensor" ? 1 : 2);
  view.setUint32(4, index);
  return bytes;
}

const nobody = {
  clientId: "" as ClientId,
  weight: 1,
  numExamples: 1,
  numSteps: 1,
  staleness: 0,
  receivedLoss: undefined,
};

function oneUpdate(tensors: StateDict): UpdateView {
  return {
    ...nobody,
    id: "release",
    shape: (name) => tensors.get(name)?.shape,
    tensor(name) {
      const tensor = tensors.get(name);
      if (tensor !== undefined) return toFloat32(tensor);
      throw new FedLoraError("update-tensor-missing", `the round's release has no tensor "${name}"`);
    },
  };
}
