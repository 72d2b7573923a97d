import type { ResolvedModule } from "./lora-config.js";

/**
 * The adapted modules by layer, from the input to the output. Modules outside the layers (a pooler, an input projection)
 * belong to the layer next to them in the manifest's order: to the lowest before the first, else to the one before them. An adapter without any
 * numbered layer is one layer.
 */
export function adaptedLayers<Module extends Pick<ResolvedModule, "layer">>(
  modules: readonly Module[],
): readonly (readonly Module[])[] {
  const layers = new Map<number, Module[]>();
  let layer = modules.find((module) => module.layer !== null)?.layer ?? 0;
  for (const module of modules) {
    layer = module.layer ?? layer;
    const held = layers.get(layer);
    if (held === undefined) layers.set(layer, [module]);
    else held.push(module);
  }
  return [...layers].sort(([a], [b]) => a - b).map(([, held]) => held);
}
