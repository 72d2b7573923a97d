import type { AdaptableModule } from "@fedlora/core";
import type { FamilyDescription } from "../models/family.js";
import type { ArtifactRequest } from "./artifact.js";

/** Rows per text that a module sees: one outside the layers, and where a classification reads no other. */
export function rowsPerText(request: ArtifactRequest, description: FamilyDescription, module: AdaptableModule): number {
  const isPooled =
    request.task.kind === "sequence-classification" && description.pooledModules?.includes(module.name) === true;
  return module.layer === null || isPooled ? 1 : request.length;
}
