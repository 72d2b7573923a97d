import { adapterKeys, compareNames, moduleOfTensor, tensorKindOf } from "@fedlora/core";
import type { TensorLayout, TensorRole, TensorSpec } from "@fedlora/core";
import type { TensorGroup } from "../method.js";
import { frozen } from "../primitive/method-parts.js";

/** An adapted module by its sizes: A [rank, dIn], B [dOut, rank]. */
export interface SketchedModule {
  readonly name: string;
  readonly rank: number;
  readonly dIn: number;
  readonly dOut: number;
}

/** The adapted modules of a layout, in its order. */
export function sketchedModules(layout: TensorLayout): readonly SketchedModule[] {
  const shapes = new Map(layout.map(({ name, shape }) => [name, shape]));
  return layout.flatMap(({ name, shape: [rank = 0, dIn = 0] }) => {
    if (tensorKindOf(name) !== "lora-a") return [];
    const module = moduleOfTensor(name);
    return [{ name: module, rank, dIn, dOut: shapes.get(adapterKeys(module).b)?.[0] ?? 0 }];
  });
}

/** The roles of a sketch in canonical order; heads take part in the loss as they are. */
export function sketchRoles(layout: TensorLayout, sketched: readonly TensorRole[]): readonly TensorRole[] {
  const heads = layout.filter(({ name }) => tensorKindOf(name) === "head").map((spec) => ({ spec, ...frozen }));
  return [...sketched, ...heads].sort((a, b) => compareNames(a.spec.name, b.spec.name));
}

/** One group per module, of the tensors that clients send of it. */
export function sketchGroups(
  modules: readonly SketchedModule[],
  tensorsOf: (module: SketchedModule) => readonly TensorSpec[],
): readonly TensorGroup[] {
  return modules.map((module) => ({ name: `base_model.model.${module.name}`, tensors: tensorsOf(module) }));
}
