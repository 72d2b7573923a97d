/** What an adapter tensor is, by its name alone. */
export type TensorKind = "lora-a" | "lora-b" | "lora-r" | "vera-d" | "vera-b" | "head";

/** The axes of a tensor that shrink with the rank. */
export const rankAxes: Readonly<Record<TensorKind, readonly number[]>> = {
  head: [],
  "lora-a": [0],
  "lora-b": [1],
  "lora-r": [0, 1],
  "vera-d": [0],
  "vera-b": [],
};

const endings: readonly (readonly [string, TensorKind])[] = [
  [".lora_A.weight", "lora-a"],
  [".lora_B.weight", "lora-b"],
  [".lora_R.weight", "lora-r"],
  [".vera_lambda_d", "vera-d"],
  [".vera_lambda_b", "vera-b"],
];
const prefix = "base_model.model.";

/** A [rank, dIn], B [dOut, rank], R [rank, rank], VeRA's d [rank] and b [dOut]; everything else belongs to a saved head. */
export function tensorKindOf(name: string): TensorKind {
  return endings.find(([ending]) => name.endsWith(ending))?.[1] ?? "head";
}

/** The module that an adapter tensor belongs to, by its name in the model's manifest: without prefix and kind. */
export function moduleOfTensor(name: string): string {
  const [ending] = endings.find(([end]) => name.endsWith(end)) ?? [name.slice(name.lastIndexOf("."))];
  const whole = name.slice(0, -ending.length);
  return whole.startsWith(prefix) ? whole.slice(prefix.length) : whole;
}
