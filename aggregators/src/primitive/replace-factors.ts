import { fromFloat32, toStateDict } from "@fedlora/core";
import type { StateDict, Tensor } from "@fedlora/core";
import type { AggregationInput } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { refused } from "./collect-mean.js";
import type { Refused } from "./collect-mean.js";
import { allFinite, factorGroups } from "./product-terms.js";
import type { FactorValues } from "./product-terms.js";

/**
 * The adapter with new factors, F32 row-major, for the modules that have some; refuses values beyond float32.
 *
 * @param factorsOf by the name of the module's group; undefined: the module keeps its own
 */
export function replaceFactors(
  global: StateDict,
  groups: readonly AdapterGroup[],
  { round }: AggregationInput,
  factorsOf: (group: string) => Partial<FactorValues> | undefined,
): { readonly kind: "adapter"; readonly global: StateDict } | Refused {
  const replaced: [string, Tensor][] = [];
  for (const { name, factors } of factorGroups(groups)) {
    const { a, b } = factorsOf(name) ?? {};
    for (const [spec, values] of [
      [factors.a, a],
      [factors.b, b],
    ] as const) {
      if (values === undefined) continue;
      if (!allFinite(values)) return refused(`round ${round}: "${spec.name}" is beyond float32`);
      replaced.push([spec.name, fromFloat32(values, spec.shape)]);
    }
  }
  return { kind: "adapter", global: toStateDict([...global, ...replaced]) };
}
