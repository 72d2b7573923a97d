import { FedLoraError, type BaseModelHash, type PlanInstructions, type StateDict } from "@fedlora/core";
import type { AdaptedModel } from "../inference/adapted-model.js";
import type { LocalTrainer } from "../train/local-trainer.js";
import type { CompiledOptions } from "./compile-options.js";

/** The base model on this machine, ready to train and to use. */
export interface LocalModel {
  readonly baseModelHash: BaseModelHash;
  readonly trainer: LocalTrainer;
  engine(): { readonly name: string; readonly fingerprint: string };
  adapt(instructions: PlanInstructions, tensors: StateDict): Promise<AdaptedModel>;
  close(): Promise<void>;
}

export function openLocalModel({ source }: CompiledOptions): Promise<LocalModel> {
  const { trainer, baseModelHash } = source;
  if (trainer === undefined || baseModelHash === undefined)
    return Promise.reject(new FedLoraError("engine-unavailable", "give a trainer and the hash of its base model"));
  return Promise.resolve({
    baseModelHash,
    trainer,
    engine: () => ({ name: "replaced", fingerprint: "" }),
    adapt: () => Promise.reject(new FedLoraError("engine-unavailable", "a replaced trainer has no model to adapt")),
    close: () => trainer.close(),
  });
}
