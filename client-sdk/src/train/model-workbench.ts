import { type Clock, type Logger, systemClock } from "@fedlora/core";
import { join } from "node:path";
import { openEngine } from "../engine/auto/open-engine.js";
import type { EngineOptions, TrainingEngine } from "../engine/engine.js";
import type { AdaptedModel } from "../inference/adapted-model.js";
import { createAdaptedModel } from "../inference/engine-adapted-model.js";
import type { SavedAdapter } from "../lora/adapter-folder.js";
import type { BaseDelta } from "../models/base-delta/base-delta.js";
import { BaseVersions } from "../models/base-delta/base-versions.js";
import type { BaseModel } from "../models/base-model.js";
import { createCompiler } from "./create-compiler.js";
import { EngineHandle } from "./engine-handle.js";
import { EngineLocalTrainer } from "./engine-local-trainer.js";
import type { LocalTrainer } from "./local-trainer.js";
import { HeldBase } from "./held-base.js";
import { makeTrialStep } from "./trial-step.js";

export interface ModelWorkbenchOptions {
  readonly baseModel: BaseModel;
  readonly engine?: Partial<EngineOptions>;
  /**
   * Compiled graphs are kept in it, in the folder `artifacts`, changed versions of the weights in `base-versions`, the
   * engine that `auto` chose, and what a probe of a step's time found. On the file system of
   * the weights file, graphs share that by hard links.
   */
  readonly cacheFolder: string;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Replaces the engine; default: one in a process of its own, as `engine` says. */
  readonly startEngine?: () => Promise<TrainingEngine>;
}

/** One base model on one engine: trains adapters and uses them. */
export interface ModelWorkbench {
  readonly baseModel: BaseModel;
  readonly trainer: LocalTrainer;
  /** The engine, started if it was not. */
  engine(): Promise<TrainingEngine>;
  /**
   * The base model with an adapter; it works until the workbench is closed.
   *
   * @param baseDeltas changes to the base weights that the adapter counts on, oldest first; default: none
   */
  adapt(adapter?: SavedAdapter, baseDeltas?: readonly BaseDelta[]): AdaptedModel;
  /** Ends the engine. */
  close(): Promise<void>;
}

export function openModelWorkbench(options: ModelWorkbenchOptions): ModelWorkbench {
  const { baseModel, cacheFolder, clock = systemClock } = options;
  const compile = createCompiler(baseModel, join(cacheFolder, "artifacts"));
  const startEngine = (): Promise<TrainingEngine> =>
    openEngine({
      ...options.engine,
      stateFolder: cacheFolder,
      trial: () => makeTrialStep(baseModel, compile),
      ...(options.logger && { logger: options.logger }),
    });
  const baseVersions = new BaseVersions({ baseModel, cacheFolder, clock });
  const engine = new EngineHandle(options.startEngine ?? startEngine);
  const trainer = new EngineLocalTrainer({ baseModel, engine, compile, baseVersions, cacheFolder, clock });
  const held: HeldBase[] = [];
  return {
    baseModel,
    trainer,
    engine: () => engine.get(),
    adapt: (adapter, baseDeltas = []) => {
      const base = new HeldBase(baseVersions, baseDeltas);
      held.push(base);
      return createAdaptedModel({ baseModel, base, engine, compile, ...(adapter && { adapter }) });
    },
    close: async () => {
      await engine.close();
      for (const base of held.splice(0)) await base.release();
    },
  };
}
