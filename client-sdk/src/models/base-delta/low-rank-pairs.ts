import { FedLoraError, fromFloat32, loraKeys, type ModelManifest, type StateDict, toStateDict } from "@fedlora/core";
import type { OpenBaseDelta } from "./base-delta.js";
import { paddedRank } from "./split-chain.js";

/** Changes to frozen weights as a graph reads them: a [rank, dIn] and b [dOut, rank] per module, W counts as W + b a. */
export interface BaseDeltaPairs {
  /** Padded rank, the same for every module. */
  readonly rank: number;
  /** Modules with a pair, in the order of the model's manifest. */
  readonly modules: readonly string[];
  /** By the names of the graph's inputs: PEFT's keys of the module's LoRA pair. */
  readonly tensors: StateDict;
}

/**
 * Stacks factored changes: the rows of all A, the columns of all B, oldest first, and zeros up to a rank that graphs are
 * compiled for. The sum of the ranks is at most `maxPairRank`.
 *
 * @param modules get a pair in any case, of zeros where no change names them
 * @returns undefined where nothing changes
 */
export async function stackPairs(
  deltas: readonly OpenBaseDelta[],
  manifest: Pick<ModelManifest, "modules">,
  modules: ReadonlySet<string>,
): Promise<BaseDeltaPairs | undefined> {
  const rank = paddedRank(deltas.reduce((sum, delta) => sum + delta.rank, 0));
  if (rank === 0) return undefined;
  const paired = manifest.modules.filter(
    ({ name }) => modules.has(name) || deltas.some(({ ranks }) => ranks.has(name)),
  );
  const entries = await Promise.all(
    paired.map(async (module) => {
      const { name, dIn, dOut } = module;
      const a = new Float32Array(rank * dIn);
      const b = new Float32Array(dOut * rank);
      let top = 0;
      for (const delta of deltas) {
        const factors = await delta.factors(module);
        if (top + factors.rank > rank) throw new FedLoraError("internal", `the pair of "${name}" exceeds rank ${rank}`);
        a.set(factors.a, top * dIn);
        for (let row = 0; row < dOut; row++) {
          b.set(factors.b.subarray(row * factors.rank, (row + 1) * factors.rank), row * rank + top);
        }
        top += factors.rank;
      }
      const keys = loraKeys(name);
      return [
        [keys.a, fromFloat32(a, [rank, dIn])],
        [keys.b, fromFloat32(b, [dOut, rank])],
      ] as const;
    }),
  );
  return { rank, modules: paired.map(({ name }) => name), tensors: toStateDict(entries.flat()) };
}
