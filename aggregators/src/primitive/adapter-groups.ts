import type { TensorLayout, TensorSpec } from "@fedlora/core";
import type { TensorGroup } from "../method.js";

/** The tensors of one module: LoRA's two factors, or those of a saved head. */
export interface AdapterGroup extends TensorGroup {
  /** A [rank, dIn] and B [dOut, rank]; undefined for a head. */
  readonly factors: { readonly a: TensorSpec; readonly b: TensorSpec } | undefined;
}

const suffix = /\.(lora_[ABR]\.weight|[^.]+)$/;

/** An adapter's layout (PEFT names) by module, in canonical order. */
export function adapterGroups(layout: TensorLayout): readonly AdapterGroup[] {
  const byModule = new Map<string, TensorSpec[]>();
  for (const spec of layout) {
    const name = spec.name.replace(suffix, "");
    byModule.set(name, [...(byModule.get(name) ?? []), spec]);
  }
  return [...byModule].map(([name, tensors]) => {
    const a = tensors.find((spec) => spec.name === `${name}.lora_A.weight`);
    const b = tensors.find((spec) => spec.name === `${name}.lora_B.weight`);
    return { name, tensors, factors: a === undefined || b === undefined ? undefined : { a, b } };
  });
}
