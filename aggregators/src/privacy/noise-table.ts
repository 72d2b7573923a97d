import { codecOf } from "@fedlora/core";
import type { ModelManifest, ResolvedAdapter, RunSpec, StateDict, TensorKind } from "@fedlora/core";
import { builtinMethods } from "../builtin.js";
import type { MethodCapabilities, MethodDefinition } from "../method.js";
import type { EntryNoise } from "./entry-noise.js";
import { instructionsOf, noisedKinds, noisedValues, resolveFor, specFor } from "./method-plan.js";
import { addTerms, aggregatedNoise, factorNorms, initialNorms, moduleNoise, noiseEnergy } from "./noise-law.js";
import type { FactorNorms, NoiseTerms } from "./noise-law.js";

/** What a method makes of the same noise. Norms are sqrt(E ||.||_F^2) over all adapted modules, per round. */
export interface NoiseRow {
  readonly method: string;
  readonly variant: ResolvedAdapter["variant"];
  /** Values of adapted modules that travel with noise, per client and round. */
  readonly noisedValues: number;
  /** On the effective weights, while B is what the run starts with. */
  readonly atStart: number;
  /** On the effective weights, once B is as large as A (for the adapter given: as it is). */
  readonly grown: number;
  /** Share of the quadratic term, noise times noise, in the square of `grown`; 0 to 1. */
  readonly quadraticShare: number;
  readonly personal: boolean;
}

export interface NoiseTable {
  /** Methods that have a closed form and allow the run's privacy, the quietest first. */
  readonly rows: readonly NoiseRow[];
  /** The run's own method; undefined: it has no closed form. */
  readonly chosen: NoiseRow | undefined;
  /** The quietest method that serves the same purpose, where it is quieter than the chosen one by a quarter. */
  readonly better: NoiseRow | undefined;
  /** The rank up to which Fed-SB stays below FFA-LoRA. */
  readonly latentRank: number | undefined;
}

export interface NoiseTableRequest {
  readonly spec: RunSpec;
  readonly model: Pick<ModelManifest, "modules" | "heads">;
  readonly noise: EntryNoise;
  /** Of the run, to take the norms of its factors; absent: the expected ones of a fresh adapter. */
  readonly adapter?: StateDict | undefined;
}

/**
 * The noise that a run's privacy leaves in the effective weights per round, for its own method and for the others at the
 * same noise on each value that travels, which is the same guarantee: rank, modules and scaling are the run's.
 *
 * It compares noise alone. How far the signal reaches differs too: FFA-LoRA and Fed-SB train fewer values.
 */
export function noiseTable(request: NoiseTableRequest): NoiseTable {
  const { spec } = request;
  const rows = [...builtinMethods.values()]
    .flatMap((definition) => noiseRow(definition, request) ?? [])
    .sort((x, y) => x.grown - y.grown);
  const chosen = rows.find(({ method }) => method === spec.method.name);
  const [quietest] = rows.filter(({ personal }) => !personal || chosen?.personal === true);
  const isBetter = chosen !== undefined && quietest !== undefined && quietest.grown * 1.25 <= chosen.grown;
  return { rows, chosen, better: isBetter ? quietest : undefined, latentRank: latentRank(rows, request) };
}

/** How the method's aggregate takes up the noise of single updates; undefined: no closed form. */
function averageOf({ noise, exact, sees }: MethodCapabilities): "factors" | "products" | undefined {
  if (noise === "linear" || sees !== "individual-updates") return "factors";
  // An exact aggregate is the mean of the clients' effective weights, each of which holds a product of noises.
  return exact ? "products" : undefined;
}

function noiseRow(definition: MethodDefinition, request: NoiseTableRequest): NoiseRow | undefined {
  const { capabilities, name } = definition;
  const averages = averageOf(capabilities);
  if (averages === undefined) return undefined;
  const spec = specFor(definition, request.spec);
  const adapter = resolveFor(spec, request.model);
  if (adapter === undefined) return undefined;
  const rounds = instructionsOf(definition, spec, adapter);
  if (rounds === undefined) return undefined;
  const isSparse = rounds.some(({ codec }) => codecOf(codec ?? spec.codec).family === "topk");
  if (isSparse) return undefined;
  const fresh = (module: Module): FactorNorms =>
    initialNorms(module, adapter.variant, spec.adapter.init.kind === "activation");
  const energyAt = (normsOf: (module: Module) => FactorNorms): { energy: number; quadratic: number } => {
    const terms = rounds.map((round) => termsOf(adapter, noisedKinds(round), normsOf));
    const mean = addTerms(terms.map((term) => aggregatedNoise(term, request.noise.concentration, averages)));
    const { std } = request.noise;
    return {
      energy: noiseEnergy(mean, std) / rounds.length,
      quadratic: (mean.quadratic * std ** 4) / rounds.length,
    };
  };
  const given = adapter.variant === request.spec.adapter.variant ? request.adapter : undefined;
  const grown = energyAt((module) =>
    given === undefined ? balanced(fresh(module)) : factorNorms(given, module.name, adapter.variant),
  );
  return {
    method: name,
    variant: adapter.variant,
    noisedValues: noisedValues(rounds),
    atStart: Math.sqrt(energyAt(fresh).energy),
    grown: Math.sqrt(grown.energy),
    quadraticShare: grown.energy === 0 ? 0 : grown.quadratic / grown.energy,
    personal: capabilities.personal,
  };
}

type Module = ResolvedAdapter["modules"][number];

const balanced = ({ a }: FactorNorms): FactorNorms => ({ a, b: a });

function termsOf(
  { modules, variant }: ResolvedAdapter,
  kinds: ReadonlyMap<string, ReadonlySet<TensorKind>>,
  normsOf: (module: Module) => FactorNorms,
): NoiseTerms {
  const none = new Set<TensorKind>();
  return addTerms(modules.map((one) => moduleNoise(one, variant, kinds.get(one.name) ?? none, normsOf(one))));
}

/** The noise of a latent adapter of rank r is that of one value times r, for any r. */
function latentRank(rows: readonly NoiseRow[], { spec }: NoiseTableRequest): number | undefined {
  const ffa = rows.find(({ method }) => method === "ffa-lora");
  const latent = rows.find(({ method }) => method === "fed-sb");
  if (ffa === undefined || latent === undefined || latent.grown === 0) return undefined;
  return Math.floor((spec.adapter.rank * ffa.grown) / latent.grown);
}
