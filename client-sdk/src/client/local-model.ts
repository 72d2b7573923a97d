import {
  FedLoraError,
  isControlTensor,
  type BaseModelHash,
  type PlanInstructions,
  type StateDict,
} from "@fedlora/core";
import { join } from "node:path";
import type { AdaptedModel } from "../inference/adapted-model.js";
import type { BaseDelta } from "../models/base-delta/base-delta.js";
import { loadBaseModel } from "../models/load/load-base-model.js";
import type { LocalTrainer } from "../train/local-trainer.js";
import { openModelWorkbench } from "../train/model-workbench.js";
import type { CompiledOptions } from "./compile-options.js";

/** The base model on this machine, ready to train and to use. */
export interface LocalModel {
  readonly baseModelHash: BaseModelHash;
  readonly trainer: LocalTrainer;
  readonly engine: { readonly name: string; readonly fingerprint: string };
  adapt(instructions: PlanInstructions, tensors: StateDict, baseDeltas: readonly BaseDelta[]): AdaptedModel;
  close(): Promise<void>;
}

/**
 * Loads the base model and starts the engine, so that what is missing is found out before a coordinator counts on this
 * client. Throws `model-missing`, `model-unsupported`, `engine-unavailable` and what else `loadBaseModel` throws.
 */
export async function openLocalModel(options: CompiledOptions): Promise<LocalModel> {
  const { source, stateFolder, clock } = options;
  if (source.trainer !== undefined && source.baseModelHash !== undefined) {
    return withoutModel(source.trainer, source.baseModelHash);
  }
  const cacheFolder = source.modelCacheFolder ?? join(stateFolder, "model");
  const baseModel = await loadBaseModel(source.baseModel, { cacheFolder });
  const engineOptions = source.engine === undefined ? {} : { engine: source.engine };
  const workbench = openModelWorkbench({ baseModel, cacheFolder, clock, ...engineOptions });
  const { name, fingerprint } = await workbench.engine();
  return {
    baseModelHash: baseModel.manifest.hash,
    trainer: workbench.trainer,
    engine: { name, fingerprint },
    adapt: ({ adapter, task }, values, baseDeltas) => {
      const tensors: StateDict = new Map([...values].filter(([name]) => !isControlTensor(name)));
      return workbench.adapt({ spec: adapter, task, tensors }, baseDeltas);
    },
    close: () => workbench.close(),
  };
}

/** A trainer that was replaced brings no model to use. */
function withoutModel(trainer: LocalTrainer, baseModelHash: BaseModelHash): LocalModel {
  return {
    baseModelHash,
    trainer,
    engine: { name: "replaced", fingerprint: "" },
    adapt: () => {
      throw new FedLoraError("model-missing", "this client was given a trainer instead of a base model");
    },
    close: () => trainer.close(),
  };
}
