import { createCoordinator, type Coordinator } from "@fedlora/coordinator";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestCoordinator {
  /** A temporary folder for the test; it goes with the coordinator. */
  readonly folder: string;
  readonly coordinator: Coordinator;
  close(): Promise<void>;
}

/** A real coordinator behind gRPC that makes nobody wait. @param name of the temporary folder */
export async function openTestCoordinator(name: string): Promise<TestCoordinator> {
  const folder = await mkdtemp(join(tmpdir(), `fedlora-${name}-`));
  const coordinator = await createCoordinator(
    { listen: "127.0.0.1:0", http: "off", storage: join(folder, "storage"), pollWaitMs: 1000 },
    { tuning: { settleMs: 0, retryMs: 20, graceMs: 0 } },
  );
  return {
    folder,
    coordinator,
    async close() {
      await coordinator.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
