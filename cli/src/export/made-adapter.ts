import {
  compareNames,
  FedLoraError,
  firstNonFinite,
  fromFloat32,
  loraKeys,
  tensorKindOf,
  toStateDict,
  type StateDict,
  type Tensor,
} from "@fedlora/core";

/** A module's pair: a [rank, dIn] and b [dOut, rank], which count as scaling b a. */
export interface MadePair {
  readonly name: string;
  readonly rank: number;
  readonly scaling: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
}

/** An adapter whose ranks are not the run's. */
export interface MadeAdapter {
  readonly tensors: StateDict;
  /** By module. */
  readonly ranks: ReadonlyMap<string, number>;
  /** Fields of PEFT's adapter_config.json that differ from the run's. */
  readonly config: Readonly<Record<string, unknown>>;
}

/**
 * An adapter of pairs, with the heads of the adapter that they were made from. Its config names every module in full: ranks
 * need not be equal, so no pattern of the run's spec says them.
 *
 * @throws FedLoraError `adapter-invalid` for a value beyond float32
 */
export function makeAdapter(pairs: readonly MadePair[], adapter: StateDict): MadeAdapter {
  const entries: (readonly [string, Tensor])[] = [...adapter].filter(([name]) => tensorKindOf(name) === "head");
  for (const { name, rank, a, b } of pairs) {
    const keys = loraKeys(name);
    entries.push([keys.a, fromFloat32(a, [rank, a.length / rank])], [keys.b, fromFloat32(b, [b.length / rank, rank])]);
  }
  const tensors = toStateDict(entries);
  for (const [name, tensor] of tensors) {
    if (firstNonFinite(tensor) === -1) continue;
    throw new FedLoraError("adapter-invalid", `"${name}" would not be finite in float32`, {
      details: { tensor: name },
    });
  }
  return { tensors, ranks: new Map(pairs.map(({ name, rank }) => [name, rank])), config: configOf(pairs) };
}

function configOf(pairs: readonly MadePair[]): Readonly<Record<string, unknown>> {
  const sorted = [...pairs].sort((x, y) => compareNames(x.name, y.name));
  const alphaOf = ({ rank, scaling }: MadePair): number => scaling * rank;
  const [first] = sorted;
  if (first === undefined) throw new FedLoraError("adapter-invalid", "the adapter has no module");
  const differing = sorted.filter(({ rank, scaling }) => rank !== first.rank || scaling !== first.scaling);
  return {
    r: first.rank,
    lora_alpha: alphaOf(first),
    rank_pattern: Object.fromEntries(differing.map((pair) => [pair.name, pair.rank])),
    alpha_pattern: Object.fromEntries(differing.map((pair) => [pair.name, alphaOf(pair)])),
    use_rslora: false,
    target_modules: sorted.map(({ name }) => name),
    layers_to_transform: null,
  };
}
