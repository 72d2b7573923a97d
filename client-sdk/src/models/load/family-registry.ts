import { FedLoraError } from "@fedlora/core";
import { bertFamily } from "../families/bert.js";
import { llamaFamily } from "../families/llama.js";
import type { ModelFamily } from "../family.js";

/** Finds the family of a model. */
export interface FamilyRegistry {
  /**
   * By config.json's `model_type`, then by `architectures`.
   *
   * @throws FedLoraError `model-unsupported`, naming what config.json says and what there is.
   */
  forConfig(config: Readonly<Record<string, unknown>>): ModelFamily;
}

export const builtInFamilies: readonly ModelFamily[] = [bertFamily, llamaFamily];

/** @throws FedLoraError `internal` where two families claim one model type. */
export function createFamilyRegistry(families: readonly ModelFamily[] = builtInFamilies): FamilyRegistry {
  const byType = new Map<string, ModelFamily>();
  for (const family of families) {
    for (const type of family.modelTypes) {
      if (byType.has(type)) throw new FedLoraError("internal", `two model families claim "${type}"`);
      byType.set(type, family);
    }
  }
  return {
    forConfig(config) {
      const architectures: unknown = config["architectures"];
      const named = [config["model_type"], ...(Array.isArray(architectures) ? (architectures as unknown[]) : [])];
      const types = named.filter((value): value is string => typeof value === "string");
      for (const type of types) {
        const family = byType.get(type);
        if (family !== undefined) return family;
      }
      throw new FedLoraError(
        "model-unsupported",
        `config.json says ${types.length === 0 ? "no model_type" : types.map((type) => `"${type}"`).join(", ")}; ` +
          `supported are ${[...byType.keys()].map((type) => `"${type}"`).join(", ")}`,
      );
    },
  };
}
