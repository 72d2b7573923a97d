import type { LocalTrainer } from "./local-trainer.js";
import { type ModelWorkbenchOptions, openModelWorkbench } from "./model-workbench.js";

/** A trainer with an engine of its own, which its `close` ends; for training alone, see `openModelWorkbench` for more. */
export function createLocalTrainer(options: ModelWorkbenchOptions): LocalTrainer {
  return openModelWorkbench(options).trainer;
}
