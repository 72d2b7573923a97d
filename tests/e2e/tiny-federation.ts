import { loadBaseModel, openModelWorkbench, type ModelWorkbench } from "@fedlora/client-sdk";
import { createCoordinator, type Coordinator } from "@fedlora/coordinator";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A tiny BERT that really trains; the coordinator, gRPC and the SDK are the real ones too. */
export const model = fileURLToPath(new URL("../../testdata/peft/bert/base", import.meta.url));

export interface TinyFederation {
  readonly folder: string;
  /** Knows the model. */
  readonly coordinator: Coordinator;
  readonly workbench: ModelWorkbench;
  close(): Promise<void>;
}

/** @param name of the temporary folder */
export async function openTinyFederation(name: string): Promise<TinyFederation> {
  const folder = await mkdtemp(join(tmpdir(), `fedlora-${name}-`));
  const coordinator = await createCoordinator(
    { listen: "127.0.0.1:0", http: "off", storage: join(folder, "storage"), pollWaitMs: 1000 },
    { tuning: { settleMs: 0, retryMs: 20, graceMs: 0 } },
  );
  const cacheFolder = join(folder, "cache");
  const baseModel = await loadBaseModel(model, { cacheFolder });
  await coordinator.service.admin.registerModel(baseModel.manifest);
  const workbench = openModelWorkbench({ baseModel, cacheFolder, engine: { engine: "onnxruntime-cpu", threads: 1 } });
  return {
    folder,
    coordinator,
    workbench,
    async close() {
      await workbench.close();
      await coordinator.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
