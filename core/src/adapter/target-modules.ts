import { FedLoraError } from "../errors.js";
import type { AdaptableModule } from "../model/manifest.js";
import type { AdapterSpec } from "../run-spec/schema.js";
import { compareNames } from "../tensor/state-dict.js";
import { suggestion } from "../text/nearest.js";
import { compileModulePattern } from "./module-pattern.js";

/** PEFT adds these to `modules_to_save` of every sequence classifier, and never adapts what is saved. */
export const classifierHeadNames = ["classifier", "score"] as const;

/**
 * The modules that a spec adapts, in the order given, by PEFT's rules (`check_target_module_exists`, PEFT 0.21):
 *
 * - a list matches a module's whole name, or its end after a dot; `layers` then keeps the suffix matches whose first
 *   number after two names (`encoder.layer.3.`) is listed, while whole names are kept in any case;
 * - a text is a regular expression for the whole name; `all-linear` in any case of letters means every linear module
 *   but the task's head; `layers` goes with a list alone;
 * - a module inside one of `saved` is never adapted.
 *
 * Stricter than PEFT in one point: each entry of a list must match something, since it is a typing error otherwise.
 *
 * @param saved names of modules trained in full
 * @throws FedLoraError `target-modules-unmatched` naming the entry and near misses; `spec-invalid` for a bad pattern
 */
export function matchTargetModules(
  modules: readonly AdaptableModule[],
  spec: Pick<AdapterSpec, "targetModules" | "layers">,
  saved: readonly string[],
): AdaptableModule[] {
  const { targetModules, layers } = spec;
  const inSaved = saved.map((name) => compileModulePattern(`(?:|.*\\.)${name}(?:|\\..*)`, "adapter.modulesToSave"));
  const candidates = modules.filter(({ name }) => !inSaved.some((pattern) => pattern.test(name)));

  if (typeof targetModules === "string") {
    if (layers !== undefined) {
      throw new FedLoraError("spec-invalid", "adapter.layers goes with a list of targetModules, not with a text");
    }
    if (targetModules.toLowerCase() === "all-linear") return candidates;
    const pattern = compileModulePattern(targetModules, "adapter.targetModules");
    const matched = candidates.filter(({ name }) => pattern.test(name));
    return matched.length > 0 ? matched : unmatched(targetModules, candidates);
  }
  for (const entry of targetModules) {
    if (!candidates.some(({ name }) => isNameOrSuffix(entry, name))) unmatched(entry, candidates);
  }
  const whole = new Set(targetModules);
  const matched = candidates.filter(
    ({ name }) =>
      whole.has(name) || (targetModules.some((entry) => name.endsWith(`.${entry}`)) && isInLayers(name, layers)),
  );
  if (matched.length === 0) {
    throw new FedLoraError(
      "target-modules-unmatched",
      `adapter.layers [${(layers ?? []).join(", ")}] holds no module of adapter.targetModules [${targetModules.join(", ")}]`,
    );
  }
  return matched;
}

/**
 * The value of the first pattern that matches a name's end (`get_pattern_key` of PEFT), or undefined. Patterns are tried
 * in sorted order: that is how PEFT's and our canonical files store them, so every reader finds the same one.
 */
export function matchModulePattern<T>(
  patterns: Readonly<Record<string, T>>,
  name: string,
  field: string,
): T | undefined {
  for (const [key, value] of Object.entries(patterns).sort(([a], [b]) => compareNames(a, b))) {
    if (compileModulePattern(`(?:.*\\.)?(?:${key})`, field).test(name)) return value;
  }
  return undefined;
}

function isNameOrSuffix(entry: string, name: string): boolean {
  return entry === name || name.endsWith(`.${entry}`);
}

function isInLayers(name: string, layers: readonly number[] | undefined): boolean {
  if (layers === undefined || layers.length === 0) return true;
  const index = /^.*?\.[^.]*\.(\d+)\./.exec(name)?.[1];
  return index !== undefined && layers.includes(Number(index));
}

function unmatched(entry: string, modules: readonly AdaptableModule[]): never {
  const endings = modules.flatMap(({ name }) => {
    const parts = name.split(".");
    return parts.map((_, i) => parts.slice(i).join(".")).filter((ending) => !/^\d/.test(ending));
  });
  const known = [...new Set(modules.map(({ name }) => name.slice(name.lastIndexOf(".") + 1)))].sort();
  throw new FedLoraError(
    "target-modules-unmatched",
    `adapter.targetModules: "${entry}" matches no module of the base model${suggestion(entry, endings)} Modules end in ${known.join(", ")}.`,
    { details: { pattern: entry } },
  );
}
