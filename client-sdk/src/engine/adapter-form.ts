import { adapterKeys } from "@fedlora/core";
import type { AdaptableModule, AdapterSpec, TensorKind } from "@fedlora/core";
import type { AdaptedModule } from "./artifact.js";

/** What stands between a frozen weight and its output. */
export type AdapterForm = AdapterSpec["variant"];

/** A tensor of an adapter; heads are none. */
export type AdapterKind = Exclude<TensorKind, "head">;

export interface FormTensor {
  readonly kind: AdapterKind;
  /** PEFT's name. */
  readonly name: string;
  readonly shape: readonly number[];
}

/** What each form trains where nothing else is said. */
export const formGradients: Readonly<Record<AdapterForm, readonly AdapterKind[]>> = {
  lora: ["lora-a", "lora-b"],
  latent: ["lora-r"],
  vera: ["vera-d", "vera-b"],
};

/** The tensors that a module's adapter consists of, in the order of a graph's inputs. */
export function formTensors(
  { name, dIn, dOut }: Pick<AdaptableModule, "name" | "dIn" | "dOut">,
  form: AdapterForm,
  rank: number,
): readonly FormTensor[] {
  const keys = adapterKeys(name);
  const factors: readonly FormTensor[] = [
    { kind: "lora-a", name: keys.a, shape: [rank, dIn] },
    { kind: "lora-b", name: keys.b, shape: [dOut, rank] },
  ];
  switch (form) {
    case "lora":
      return factors;
    case "latent":
      return [...factors, { kind: "lora-r", name: keys.r, shape: [rank, rank] }];
    case "vera":
      return [
        ...factors,
        { kind: "vera-d", name: keys.scaleRank, shape: [rank] },
        { kind: "vera-b", name: keys.scaleOut, shape: [dOut] },
      ];
  }
}

/** The kinds of a module's tensors that get gradients. */
export function gradientsOf({ trained, form, gradients }: AdaptedModule): readonly AdapterKind[] {
  return trained ? (gradients ?? formGradients[form ?? "lora"]) : [];
}
