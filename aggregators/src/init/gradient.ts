import { adapterKeys, deriveKey, FedLoraError, fromFloat32, randomKey, RandomStream, toFloat32 } from "@fedlora/core";
import { toStateDict } from "@fedlora/core";
import type { RandomKey, StateDict, Tensor, TensorRole, TensorSpec } from "@fedlora/core";
import type { Aggregation, AggregationInput, MethodRun } from "../method.js";
import { refused } from "../primitive/collect-mean.js";
import { deltaInstruction, scalingOf, tensorOf } from "../primitive/method-parts.js";
import { orthonormalityError } from "../primitive/orthonormality.js";
import { weightedMeanPass } from "../primitive/weighted-mean.js";
import type { WeightedMean } from "../primitive/weighted-mean.js";
import type { AdapterInitialisation } from "./adapter-initialisation.js";
import { firstStep } from "./first-step.js";
import { startSeeded } from "./seeded.js";
import { sketchedMatrix } from "./sketched-matrix.js";
import type { SketchedMatrix } from "./sketched-matrix.js";
import { sketchRoles, sketchedModules, sketchGroups } from "./sketched-modules.js";
import type { SketchedModule } from "./sketched-modules.js";
import type { RowSubspaceSvd } from "./row-subspace-svd.js";

/** What float32 leaves of orthonormal factors. */
const maxOrthonormalityError = 1e-5;

/**
 * LoRA-SB from the clients' data: in round 1 every client sends sketches of its mean gradient in each weight, G Omega and
 * Psi G; they are linear, so their weighted mean sketches the gradient over all the data. The coordinator reconstructs the
 * gradient (`sketchedMatrix`), simulates AdamW's first step, dW = -step sign(G), and takes its truncated singular value
 * decomposition U S V^T (`firstStep`): B = U, A = V^T, R = diag(S) / s. The base is not compensated: training starts at
 * W0 + U S V^T, as in the paper.
 *
 * The sketches have rank min(2 rank + 1, dIn, dOut), which bounds the expected squared error to twice that of the best
 * range found; what it was is the metric `sketchError`, relative to the gradient's norm, as the sketches themselves
 * estimate it. `leftOut` is the share of the step's squared norm beyond the rank, the mean over the modules: signs have nearly
 * full rank, so it is large by nature.
 *
 * The paper computes the gradient in one place, from pooled data; sketches, and the weights, are ours.
 *
 * Paper: Ponkshe et al., "Initialization using Update Approximation is a Silver Bullet for Extremely Efficient Low-Rank
 * Fine-Tuning" (LoRA-SB), 2024. Privacy: sketches are functions of the clients' data like updates; no noise is added.
 */
export function gradient(run: MethodRun): AdapterInitialisation {
  const { adapterLayout, spec } = run;
  const { init } = spec.adapter;
  if (init.kind !== "gradient") throw new FedLoraError("internal", `gradient for adapter.init.kind ${init.kind}`);
  const modules = sketchedModules(adapterLayout);
  const groups = sketchGroups(modules, sketchSpecs);
  const roles = sketchRoles(adapterLayout, [
    ...groups.flatMap(({ tensors }) =>
      tensors.map((tensor): TensorRole => ({
        ...{ spec: tensor, trained: true, uploaded: true, downloaded: true, keep: "none" },
      })),
    ),
  ]);
  const key = deriveKey(randomKey(spec.training.seed), "gradient-initialisation");
  const testMatrices = (): StateDict =>
    toStateDict(
      groups.flatMap(({ tensors }) => tensors.map((tensor) => [tensor.name, testMatrix(key, tensor)] as const)),
    );
  return {
    kind: "gradient",
    paper: "LoRA-SB (Ponkshe et al. 2024)",
    start: startSeeded,
    rounds: {
      count: 1,
      prepare: () =>
        deltaInstruction(roles, {
          updateForm: "sketch",
          directives: [{ kind: "gradient-sketch", version: 1, examples: init.examples }],
          // Lossy codecs of deltas would cut the small singular values away.
          codec: "f32",
        }),
      projectFor: () => testMatrices(),
      aggregate: (input): Aggregation => ({
        passes: [weightedMeanPass("sketch", groups, undefined)],
        finish(sealed) {
          const means = sealed.get("sketch") as ReadonlyMap<string, WeightedMean>;
          const contributors = Math.max(0, ...[...means.values()].map((mean) => mean.contributors));
          if (contributors === 0) return refused(`round ${input.round}: no sketch with a weight above 0`);
          const starts = modules.map((module, i) => {
            const sketch = means.get(groups[i]?.name ?? "")?.tensors ?? new Map<string, Tensor>();
            return startOf(module, sketch, { key, rank: module.rank, sign: init.sign });
          });
          return finish(run, input, { starts, step: init.step, contributors, means });
        },
      }),
    },
  };
}

/** Rank of a module's sketches; see `sketchedMatrix`. */
export function sketchRank({ rank, dIn, dOut }: SketchedModule): number {
  return Math.min(2 * rank + 1, dIn, dOut);
}

function sketchSpecs(module: SketchedModule): readonly TensorSpec[] {
  const { a, b } = adapterKeys(module.name);
  const size = sketchRank(module);
  return [
    { name: a, dtype: "F32", shape: [size, module.dIn] },
    { name: b, dtype: "F32", shape: [module.dOut, size] },
  ];
}

/** Omega^T or Psi^T: standard normal, from the run's seed and the tensor's name. */
function testMatrix(key: RandomKey, { name, shape }: TensorSpec): Tensor {
  const [rows = 0, columns = 0] = shape;
  return fromFloat32(new RandomStream(deriveKey(key, name)).normals(rows * columns, 1), shape);
}

interface ModuleStart {
  readonly module: SketchedModule;
  readonly gradient: SketchedMatrix;
  readonly step: RowSubspaceSvd;
}

function startOf(
  module: SketchedModule,
  sketch: StateDict,
  { key, rank, sign }: { readonly key: RandomKey; readonly rank: number; readonly sign: boolean },
): ModuleStart {
  const { a, b } = adapterKeys(module.name);
  const { dIn, dOut } = module;
  const size = sketchRank(module);
  const psi = testMatrix(key, { name: b, dtype: "F32", shape: [dOut, size] });
  const isWhole = size === Math.min(dIn, dOut);
  const found = sketchedMatrix(
    {
      ...{ dIn, dOut, size, psi: toFloat32(psi) },
      range: toFloat32(tensorOf(sketch, b)),
      coRange: toFloat32(tensorOf(sketch, a)),
    },
    isWhole ? size : rank,
  );
  const stream = new RandomStream(deriveKey(key, "subspace", module.name));
  return { module, gradient: found, step: firstStep(found, { rank, sign, stream }) };
}

function finish(
  run: MethodRun,
  input: AggregationInput,
  round: {
    readonly starts: readonly ModuleStart[];
    readonly step: number;
    readonly contributors: number;
    readonly means: ReadonlyMap<string, WeightedMean>;
  },
): ReturnType<Aggregation["finish"]> {
  const { starts, step, contributors, means } = round;
  const factors = toStateDict(starts.flatMap((start) => tensorsOf(start, step, scalingOf(run, start.module.name))));
  const orthonormality = orthonormalityError(factors);
  if (!(orthonormality <= maxOrthonormalityError)) {
    return refused(`round ${input.round}: the frozen factors are ${orthonormality} from orthonormal`);
  }
  const total = (of: (start: ModuleStart) => number): number => starts.reduce((sum, start) => sum + of(start), 0);
  const normSquared = total(({ gradient: { normSquared: own } }) => own);
  const metrics = {
    contributors,
    totalWeight: Math.max(...[...means.values()].map((mean) => mean.totalWeight)),
    gradientNorm: Math.sqrt(normSquared),
    sketchError:
      normSquared === 0 ? 0 : Math.sqrt(total(({ gradient: { errorSquared } }) => errorSquared) / normSquared),
    leftOut: total(({ step: { leftOut } }) => leftOut) / Math.max(1, starts.length),
    orthonormality,
  };
  const global = toStateDict([...input.global, ...factors]);
  return { kind: "adapter", global, state: input.state, baseDelta: undefined, metrics };
}

/** B = U, A = V^T, R = diag(step * S) / s. */
function tensorsOf(
  { module: { name, rank, dIn, dOut }, step: { u, s, v } }: ModuleStart,
  step: number,
  scaling: number,
): (readonly [string, Tensor])[] {
  const { a, b, r } = adapterKeys(name);
  const left = new Float32Array(dOut * rank);
  const core = new Float32Array(rank * rank);
  for (let k = 0; k < rank; k++) {
    for (let i = 0; i < dOut; i++) left[i * rank + k] = u[k * dOut + i] ?? 0;
    core[k * rank + k] = (step * (s[k] ?? 0)) / scaling;
  }
  return [
    [a, fromFloat32(Float32Array.from(v), [rank, dIn])],
    [b, fromFloat32(left, [dOut, rank])],
    [r, fromFloat32(core, [rank, rank])],
  ];
}
