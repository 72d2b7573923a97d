import {
  adapterKeys,
  deriveKey,
  FedLoraError,
  fromFloat32,
  orthonormalizeRows,
  randomKey,
  RandomStream,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import type { RandomKey, Tensor, TensorRole, TensorSpec } from "@fedlora/core";
import { columnMatrix, dotAt } from "../linalg/column-matrix.js";
import { smallSvd } from "../linalg/small-svd.js";
import type { Aggregation, MethodRun } from "../method.js";
import { refused } from "../primitive/collect-mean.js";
import { deltaInstruction, frozen, projectLeading, tensorOf } from "../primitive/method-parts.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";
import type { WeightedMean } from "../primitive/weighted-mean.js";
import type { AdapterInitialisation } from "./adapter-initialisation.js";
import { startSeeded } from "./seeded.js";
import { sketchRoles, sketchedModules, sketchGroups } from "./sketched-modules.js";
import type { SketchedModule } from "./sketched-modules.js";

/** Singular vectors of smaller shares of the largest value are what rounding left. */
const negligible = 1e-7;

/**
 * EVA from the clients' data: the rows of A become the leading right singular vectors of each module's inputs X, over all
 * clients, by subspace iteration with one product A X^T X per round; B stays zero. A client's sketch is the mean over its
 * rows, and the weighted mean of the sketches that of X^T X over all. After a round, A holds the right singular vectors of
 * that mean, orthonormal and sorted; `subspaceChange`, 1 - |A_new A_old^T|_F^2 / rank, falls to 0 as the iteration settles
 * (1 in the first round, where A was random).
 *
 * Of the paper's redistribution of ranks between modules nothing is done: ranks are part of the run's spec, from which all
 * shapes follow (`docs/how-to/start-an-adapter.md`).
 *
 * Paper: Paischer et al., "One Initialization to Rule them All: Fine-tuning via Explained Variance Adaptation" (EVA), 2024.
 * Privacy: sketches are functions of the clients' data like updates; no noise is added.
 */
export function activation(run: MethodRun): AdapterInitialisation {
  const { adapterLayout, spec } = run;
  const { init } = spec.adapter;
  if (init.kind !== "activation") throw new FedLoraError("internal", `activation for adapter.init.kind ${init.kind}`);
  const modules = sketchedModules(adapterLayout);
  const groups = sketchGroups(modules, (module) => [inputSpec(module)]);
  const roles = sketchRoles(adapterLayout, [
    ...modules.flatMap((module): TensorRole[] => [
      { spec: inputSpec(module), trained: true, uploaded: true, downloaded: true, keep: "none" },
      {
        spec: { name: adapterKeys(module.name).b, dtype: "F32", shape: [module.dOut, module.rank] },
        ...frozen,
      },
    ]),
  ]);
  const key = deriveKey(randomKey(spec.training.seed), "activation-initialisation");
  return {
    kind: "activation",
    paper: "EVA (Paischer et al. 2024)",
    start: startSeeded,
    rounds: {
      count: init.iterations,
      prepare: () =>
        deltaInstruction(roles, {
          updateForm: "sketch",
          directives: [{ kind: "activation-sketch", version: 1, examples: init.examples }],
          codec: "f32",
        }),
      projectFor: projectLeading,
      aggregate: (input, done): Aggregation => ({
        passes: [weightedMeanPass("sketch", groups, undefined)],
        finish(sealed) {
          const means = sealed.get("sketch") as ReadonlyMap<string, WeightedMean>;
          const contributors = Math.max(0, ...[...means.values()].map((mean) => mean.contributors));
          if (contributors === 0) return refused(`round ${input.round}: no sketch with a weight above 0`);
          const turned = modules.map((module, i) => {
            const { name, shape } = inputSpec(module);
            const mean = tensorOf(means.get(groups[i]?.name ?? "")?.tensors ?? new Map<string, Tensor>(), name);
            const before = tensorOf(input.global, name);
            const rows = directions(module, toFloat32(mean), toFloat32(before), deriveKey(key, name, done));
            return { name, tensor: fromFloat32(rows, shape), change: subspaceChange(module, rows, toFloat32(before)) };
          });
          const change = turned.reduce((sum, each) => sum + each.change, 0) / Math.max(1, turned.length);
          const metrics = {
            contributors,
            totalWeight: Math.max(...[...means.values()].map((mean) => mean.totalWeight)),
            subspaceChange: done === 0 ? 1 : change,
          };
          const global = toStateDict([...input.global, ...turned.map(({ name, tensor }) => [name, tensor] as const)]);
          return { kind: "adapter", global, state: input.state, baseDelta: undefined, metrics };
        },
      }),
    },
  };
}

function inputSpec({ name, rank, dIn }: SketchedModule): TensorSpec {
  return { name: adapterKeys(name).a, dtype: "F32", shape: [rank, dIn] };
}

/**
 * The right singular vectors of a sketch [rank, dIn] as orthonormal rows, by falling singular value, the entry of largest
 * magnitude positive. Directions that the sketch lacks are random ones orthogonal to the others; rows beyond dIn, which
 * none is left for, stay as they were.
 */
function directions(
  { rank, dIn }: SketchedModule,
  sketch: Float32Array,
  before: Float32Array,
  key: RandomKey,
): Float32Array {
  const { u, s } = smallSvd(columnMatrix(dIn, rank, Float64Array.from(sketch)));
  const count = Math.min(rank, dIn);
  const found = s.filter((value) => value > negligible * (s[0] ?? 0)).length;
  const stream = new RandomStream(key);
  const rows = new Float64Array(count * dIn);
  rows.set(u.values.subarray(0, found * dIn));
  for (let i = found * dIn; i < rows.length; i++) rows[i] = stream.normal();
  orthonormalizeRows(rows, count, dIn);
  for (let k = 0; k < found; k++) {
    const row = rows.subarray(k * dIn, (k + 1) * dIn);
    const largest = row.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    if (largest < 0) row.forEach((value, i) => (row[i] = -value));
  }
  const out = Float32Array.from(before);
  out.set(rows);
  return out;
}

function subspaceChange({ rank, dIn }: SketchedModule, after: Float32Array, before: Float32Array): number {
  const [x, y] = [Float64Array.from(after), Float64Array.from(before)];
  const count = Math.min(rank, dIn);
  let kept = 0;
  for (let p = 0; p < count; p++) {
    for (let q = 0; q < count; q++) kept += dotAt(x, p * dIn, y, q * dIn, dIn) ** 2;
  }
  return Math.max(0, 1 - kept / count);
}
