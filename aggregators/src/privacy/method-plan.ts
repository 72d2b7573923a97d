import { adapterLayout, FedLoraError, moduleOfTensor, resolveAdapter, tensorKindOf } from "@fedlora/core";
import type { ClientId, ModelManifest, ResolvedAdapter, RunSpec, TensorKind } from "@fedlora/core";
import { compileMethod } from "../compile-method.js";
import type { ClientInstruction, MethodDefinition } from "../method.js";
import { createMethodRegistry } from "../registry.js";

/** The run's spec for another method: its form of the adapter where it allows that, else the method's own. */
export function specFor({ name, capabilities }: MethodDefinition, spec: RunSpec): RunSpec {
  if (name === spec.method.name) return spec;
  const { variants, weightings } = capabilities;
  const own = spec.adapter.rslora && spec.adapter.variant === "lora" ? "rslora" : spec.adapter.variant;
  const [first = "lora"] = variants;
  const variant = variants.includes(own) ? spec.adapter.variant : first === "rslora" ? "lora" : first;
  const init = variant === spec.adapter.variant ? spec.adapter.init : ({ kind: "seeded" } as const);
  return {
    ...spec,
    method: { name, options: {} },
    adapter: { ...spec.adapter, variant, init },
    codec: "f32",
    serverOptimizer: { kind: "none" },
    rankPlan: { kind: "uniform" },
    policy: { kind: "synchronous" },
    training: { ...spec.training, proximalMu: undefined, controlVariates: false },
    weighting: weightings.includes(spec.weighting.kind) ? spec.weighting : { kind: "uniform" },
    rounds: Math.min(spec.rounds, 2),
  };
}

/** Undefined where the run's rank is too high for the method's form of the adapter. */
export function resolveFor(
  spec: RunSpec,
  model: Pick<ModelManifest, "modules" | "heads">,
): ResolvedAdapter | undefined {
  const adapter = resolveAdapter({ ...spec.adapter, variant: "lora" }, model, spec.task);
  const isLatent = spec.adapter.variant === "latent";
  if (isLatent && adapter.modules.some(({ rank, dIn, dOut }) => rank > Math.min(dIn, dOut))) return undefined;
  return { ...adapter, variant: spec.adapter.variant };
}

/**
 * Two rounds of training: methods that alternate send another factor in the second. Undefined where the method does not
 * allow what the spec asks for, such as its privacy.
 */
export function instructionsOf(
  definition: MethodDefinition,
  spec: RunSpec,
  adapter: ResolvedAdapter,
): readonly ClientInstruction[] | undefined {
  const scalings = Object.fromEntries(adapter.modules.map((module) => [module.name, module.scaling]));
  // Rounds that make the adapter train nothing.
  const trained = { ...spec, adapter: { ...spec.adapter, init: { kind: "seeded" } as const } };
  try {
    const run = { spec: trained, adapterLayout: adapterLayout(adapter), scalings };
    const method = compileMethod(run, createMethodRegistry([definition]));
    const client = { clientId: "" as ClientId, maxRank: undefined, ranks: undefined, directives: [], codecs: [] };
    const state = method.initialState();
    return [1, 2].map((round) => method.prepare(method.phase(state, round), state, client));
  } catch (error) {
    if (error instanceof FedLoraError && error.code === "spec-combination-refused") return undefined;
    throw error;
  }
}

/** Kinds of tensors that travel, by module. */
export function noisedKinds({ roles }: ClientInstruction): ReadonlyMap<string, ReadonlySet<TensorKind>> {
  const kinds = new Map<string, Set<TensorKind>>();
  for (const { spec, uploaded } of roles) {
    if (!uploaded) continue;
    const module = moduleOfTensor(spec.name);
    kinds.set(module, (kinds.get(module) ?? new Set<TensorKind>()).add(tensorKindOf(spec.name)));
  }
  return kinds;
}

export function noisedValues(rounds: readonly ClientInstruction[]): number {
  const values = rounds.map(({ roles }) =>
    roles
      .filter(({ spec, uploaded }) => uploaded && tensorKindOf(spec.name) !== "head")
      .reduce((sum, { spec }) => sum + spec.shape.reduce((product, size) => product * size, 1), 0),
  );
  return values.reduce((sum, value) => sum + value, 0) / rounds.length;
}
