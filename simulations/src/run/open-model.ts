import { loadBaseModel, openModelWorkbench, type BaseModel } from "@fedlora/client-sdk";
import { supportedDirectives, type ModelManifest } from "@fedlora/core";
import { resolve } from "node:path";
import type { SimulationData } from "../data/simulation-data.js";
import { ensureDecoder, type DecoderProgress } from "../decoder/ensure-decoder.js";
import { miniLmFolder } from "../demo/spam-task.js";
import { linearManifest } from "../linear/linear-model.js";
import { openLinearRoom } from "../linear/open-linear-room.js";
import { rememberingTokenizer } from "../runtime/remembering-tokenizer.js";
import type { Room } from "../runtime/room.js";
import { TrainerRoom, type RoomWorker } from "../runtime/trainer-room.js";
import type { Scenario } from "../scenario/scenario-schema.js";

export interface OpenModel {
  readonly manifest: ModelManifest;
  readonly room: Room;
}

export interface OpenModelOptions {
  readonly model: Scenario["model"];
  readonly data: SimulationData;
  /**
   * Trainers at work at a time, each in a thread or with an engine of its own; 0: one, in this thread where it can be. A
   * function opens others in their place.
   */
  readonly workers: number | ((manifest: ModelManifest) => Promise<Room>);
  /** Where relative paths of the scenario begin. */
  readonly folder: string;
  /** Converted weights and compiled graphs, kept from run to run. */
  readonly cacheFolder: string;
  readonly progress: DecoderProgress;
  readonly signal: AbortSignal;
}

/**
 * The scenario's base model, once per worker, and whoever trains on it.
 *
 * @throws FedLoraError `engine-mixed`, and what loading a model throws
 */
export async function openModel(options: OpenModelOptions): Promise<OpenModel> {
  const { model, data, workers, cacheFolder } = options;
  if (model.kind === "linear") {
    const manifest = linearManifest(data.features?.dim ?? 0, data.labels?.length ?? 0);
    const room = await (typeof workers === "number" ? openLinearRoom(data, manifest, workers) : workers(manifest));
    return { manifest, room };
  }
  const loaded = await loadBaseModel(await folderOf(model, options), { cacheFolder });
  const { manifest } = loaded;
  if (typeof workers === "function") return { manifest, room: await workers(manifest) };
  const baseModel = { ...loaded, tokenizer: rememberingTokenizer(loaded.tokenizer) };
  return { manifest, room: await openEngineRoom(baseModel, Math.max(1, workers), cacheFolder) };
}

function folderOf(
  model: Exclude<Scenario["model"], { readonly kind: "linear" }>,
  { folder, ...options }: OpenModelOptions,
): string | Promise<string> {
  switch (model.kind) {
    case "minilm":
      return miniLmFolder();
    case "small-decoder":
      return ensureDecoder({ spec: model, ...options });
    case "folder":
      return resolve(folder, model.path);
  }
}

/** One engine per worker, each with one thread: then the number of workers changes no bit. */
async function openEngineRoom(baseModel: BaseModel, workers: number, cacheFolder: string): Promise<TrainerRoom> {
  const started = Array.from({ length: workers }, async (): Promise<RoomWorker> => {
    const engine = { engine: "onnxruntime-cpu", threads: 1 } as const;
    const workbench = openModelWorkbench({ baseModel, cacheFolder, engine });
    const { name, fingerprint } = await workbench.engine();
    const trainer = {
      train: workbench.trainer.train.bind(workbench.trainer),
      evaluate: workbench.trainer.evaluate.bind(workbench.trainer),
      heldBaseDeltas: (ids: readonly string[]) => workbench.trainer.heldBaseDeltas?.(ids) ?? Promise.resolve(0),
      close: () => workbench.close(),
    };
    return { trainer, engine: { name, fingerprint, directives: supportedDirectives } };
  });
  return new TrainerRoom(await Promise.all(started));
}
