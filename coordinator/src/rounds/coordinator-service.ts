import { sign } from "node:crypto";
import type { CoordinatorService } from "../service.js";
import { CoordinatorAdminService } from "./admin-service.js";
import { CoordinatorClientService } from "./client-service.js";
import { CoordinatorCore } from "./coordinator-core.js";
import type { CoordinatorServiceOptions } from "./coordinator-options.js";

/**
 * The coordinator on its storage: replays the journal and goes on where the last process ended. The gRPC handlers call it, and so do
 * in-process clients. Throws `journal-corrupt`.
 */
export async function createCoordinatorService(options: CoordinatorServiceOptions): Promise<CoordinatorService> {
  const { coordinatorKey, signReceipt = (bytes: Uint8Array) => sign(null, bytes, coordinatorKey) } = options;
  const core = await CoordinatorCore.open(options);
  return {
    clients: new CoordinatorClientService(core, signReceipt),
    admin: new CoordinatorAdminService(core),
    drain: (timeoutMs) => core.drain(timeoutMs),
    close: () => core.close(),
  };
}
