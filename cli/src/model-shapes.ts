import { existsSync, statSync } from "node:fs";
import type { ModelManifest } from "@fedlora/core";
import { readJsonFile } from "./files.js";

/** What planning needs to know of a base model: its modules' names and shapes, no values. */
export type ModelShapes = Pick<ModelManifest, "modules" | "heads">;

/**
 * Shapes by a base model's folder, a manifest that `fedlora model inspect --out` wrote, or the name of a well-known model.
 *
 * @throws FedLoraError `model-unsupported` naming the well-known ones, `model-invalid` for a broken folder or manifest
 */
export async function modelShapes(name: string): Promise<ModelShapes> {
  const { parseModelManifest, referenceModelNames, referenceModules } = await import("@fedlora/core");
  if (referenceModelNames.includes(name) || !existsSync(name)) return referenceModules(name);
  if (!statSync(name).isDirectory()) return parseModelManifest(await readJsonFile(name, "model manifest"));
  const { inspectModel } = await import("@fedlora/client-sdk");
  return inspectModel(name);
}
