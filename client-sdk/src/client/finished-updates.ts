import { blobIdOf, FedLoraError, isPlanId, type PlanId } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { FinishedUpdates, OpenUpdate } from "./client-state.js";
import { readIfPresent, replacePrivateFile } from "./durable-file.js";

/** Finished updates as files of the state folder, `work/PLAN.update.safetensors`. */
export class FinishedUpdateFiles implements FinishedUpdates {
  readonly #folder: string;

  constructor(stateFolder: string) {
    this.#folder = join(stateFolder, "work");
  }

  async save(planId: PlanId, bytes: Uint8Array): Promise<void> {
    await replacePrivateFile(this.#path(planId), bytes);
  }

  async open(planId: PlanId): Promise<OpenUpdate> {
    const path = this.#path(planId);
    const file = await open(path, "r");
    return {
      read: async (offset, length) => {
        const data = Buffer.allocUnsafe(length);
        const { bytesRead } = await file.read(data, 0, length, offset);
        if (bytesRead === length) return data;
        throw new FedLoraError(
          "file-invalid",
          `"${path}" ends at byte ${offset + bytesRead}, expected ${offset + length}`,
        );
      },
      close: () => file.close(),
    };
  }

  async assertIntact(planId: PlanId, id: string): Promise<void> {
    const path = this.#path(planId);
    const bytes = await readIfPresent(path);
    if (bytes !== undefined && blobIdOf(bytes, nodeSha256) !== id) {
      throw new FedLoraError("file-invalid", `"${path}" was damaged after it was written`);
    }
  }

  #path(planId: PlanId): string {
    if (!isPlanId(planId)) throw new TypeError(`"${String(planId)}" is no plan id`);
    return join(this.#folder, `${planId}.update.safetensors`);
  }
}
