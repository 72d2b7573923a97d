import { compileMethod } from "@fedlora/aggregators";
import type { Method, MethodDefinition, MethodRun } from "@fedlora/aggregators";
import { adapterLayout, compileRunSpec, elementCount, referenceModules, resolveAdapter } from "@fedlora/core";
import type { RunSpec, TensorLayout } from "@fedlora/core";

/** What a row leaves of the adapter of Llama-3.2-3B on all its linear modules. */
export interface Scale {
  readonly rank: number;
  /** The first so many of its 28. */
  readonly layers: number;
  /** Sides of the modules are divided by it. */
  readonly widths: number;
}

export interface ScaledRun extends MethodRun {
  readonly method: Method;
}

const layersOfModel = 28;

/** A run of one method on the scaled adapter, with as few options set as its rules allow. */
export function scaledRun(
  definition: MethodDefinition,
  { rank, layers, widths }: Scale,
  options: Readonly<Record<string, unknown>> = {},
): ScaledRun {
  const { variants, weightings } = definition.capabilities;
  const [variant = "lora"] = variants;
  const [weighting = "uniform"] = weightings;
  const spec = compileRunSpec({
    name: "bench-aggregate",
    model: { hash: "0".repeat(64) },
    task: { kind: "causal-lm" },
    adapter: { rank, targetModules: "all-linear", variant: variant === "rslora" ? "lora" : variant },
    method: { name: definition.name, options },
    rounds: 1,
    // Rules against hostile updates refuse cohorts that could be too small for them.
    cohort: { size: 1000, quorum: 10 },
    weighting: { kind: weighting },
  });
  const modules = referenceModules("llama-3.2-3b")
    .modules.filter(({ layer }) => (layer ?? 0) < layers)
    .map((module) => ({ ...module, dIn: module.dIn / widths, dOut: module.dOut / widths }));
  const adapter = resolveAdapter(spec.adapter, { modules, heads: [] }, spec.task);
  const scalings = Object.fromEntries(adapter.modules.map((module) => [module.name, module.scaling]));
  const run = { spec, adapterLayout: adapterLayout(adapter), scalings };
  return { ...run, method: compileMethod(run) };
}

/** In words, for the row: `1 of 28 layers, widths / 8: 1/224`. */
export function describeScale({ layers, widths }: Scale): string {
  const factor = (layersOfModel / layers) * widths;
  const parts = [
    ...(layers === layersOfModel ? [] : [`${layers} of ${layersOfModel} layers`]),
    ...(widths === 1 ? [] : [`widths / ${widths}`]),
  ];
  return parts.length === 0 ? "whole" : `${parts.join(", ")}: 1/${factor}`;
}

/** The tensors that a client sends, decoded, and the codec that they travel in. */
export function uploadOf(method: Method, spec: RunSpec): { readonly layout: TensorLayout; readonly codec: string } {
  const state = method.initialState();
  const client = { clientId: "" as never, maxRank: undefined, ranks: undefined, directives: [], codecs: [] };
  const instruction = method.prepare(method.phase(state, 1), state, client);
  const layout = instruction.roles.filter((role) => role.uploaded).map((role) => role.spec);
  return { layout, codec: instruction.codec ?? spec.codec };
}

export const valuesOf = (layout: TensorLayout): number =>
  layout.reduce((sum, { shape }) => sum + elementCount(shape), 0);
