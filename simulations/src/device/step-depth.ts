import {
  adaptedLayers,
  moduleOfTensor,
  resolveAdapter,
  type ModelManifest,
  type RunSpec,
  type TensorRole,
} from "@fedlora/core";

/** What a plan trains, as far as its cost and the report are concerned. */
export interface TrainedPart {
  /** Adapted layers from the lowest that is trained to the output; 0: heads alone. */
  readonly depth: number;
  /** Share of the model's layers that the backward pass goes through, 0 to 1. */
  readonly reach: number;
  /** Of the modules that are trained; 0 where none is. */
  readonly minRank: number;
  readonly maxRank: number;
  readonly totalRank: number;
}

/** Reads from a plan's tensors how deep its backward pass goes, in the model that the run adapts. */
export class StepDepth {
  /** Layers of the model that hold adapters. */
  readonly numLayers: number;
  /** By module: adapted layers from its own to the output. */
  readonly #depths: ReadonlyMap<string, number>;
  /** By depth. */
  readonly #reaches: readonly number[];

  constructor({ adapter, task }: Pick<RunSpec, "adapter" | "task">, manifest: ModelManifest) {
    const layers = adaptedLayers(resolveAdapter(adapter, manifest, task).modules).toReversed();
    this.numLayers = layers.length;
    this.#depths = new Map(layers.flatMap((modules, index) => modules.map(({ name }) => [name, index + 1] as const)));
    const reaches = layers.map((modules) => {
      const numbers = modules.flatMap(({ layer }) => layer ?? []);
      return numbers.length === 0 ? 1 : 1 - Math.min(...numbers) / Math.max(1, manifest.numLayers);
    });
    this.#reaches = [0, ...reaches];
  }

  /** Share of the model's layers that a backward pass through all adapted layers goes through. */
  get fullReach(): number {
    return this.#reaches[this.numLayers] ?? 1;
  }

  trainedBy(roles: readonly Pick<TensorRole, "spec" | "trained">[]): TrainedPart {
    let depth = 0;
    const ranks = new Map<string, number>();
    for (const { spec, trained } of roles) {
      if (!trained) continue;
      const module = moduleOfTensor(spec.name);
      const own = this.#depths.get(module);
      if (own === undefined) continue;
      depth = Math.max(depth, own);
      // The rank is the shorter side of a factor.
      ranks.set(module, Math.min(ranks.get(module) ?? Number.POSITIVE_INFINITY, ...spec.shape));
    }
    const held = [...ranks.values()];
    return {
      depth,
      reach: this.#reaches[depth] ?? 1,
      minRank: held.length === 0 ? 0 : Math.min(...held),
      maxRank: Math.max(0, ...held),
      totalRank: held.reduce((sum, rank) => sum + rank, 0),
    };
  }
}
