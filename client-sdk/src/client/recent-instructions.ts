import { parsePlanInstructions, type BlobId, type PlanInstructions } from "@fedlora/core";

const maxRecent = 8;
/** The latest used last. */
const recent = new Map<BlobId, PlanInstructions>();

/**
 * `parsePlanInstructions`, once for the plans of one run that share their instructions: most rounds do, and checking every field
 * is dearer than all the rest of a small plan. An id is the hash of its bytes, so one may stand for the other.
 *
 * @param bytes of the blob `id`, verified
 */
export function instructionsOf(id: BlobId, bytes: Uint8Array): PlanInstructions {
  const instructions = recent.get(id) ?? parsePlanInstructions(bytes);
  recent.delete(id);
  recent.set(id, instructions);
  for (const oldest of recent.keys()) {
    if (recent.size <= maxRecent) break;
    recent.delete(oldest);
  }
  return instructions;
}
