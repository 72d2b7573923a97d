import type { DataSource, LocalTrainer } from "@fedlora/client-sdk";
import {
  adapterLayout,
  initialAdapter,
  resolveAdapter,
  type ModelManifest,
  type PlanInstructions,
  type RunSpec,
  type StateDict,
} from "@fedlora/core";
import type { Mail } from "../datasets/spam-assassin/corpus.js";
import { localInstructions } from "../run/local-instructions.js";

/** What a federation starts from, for training the same task without one. */
export interface LocalTask {
  readonly instructions: PlanInstructions;
  readonly start: StateDict;
}

/**
 * The run's task as one piece of local training: the same initial adapter, and in one go as many steps as a member takes
 * in the whole run.
 */
export function localTask(spec: RunSpec, manifest: ModelManifest): LocalTask {
  const adapter = resolveAdapter(spec.adapter, manifest, spec.task);
  const { localSteps = 1 } = spec.training;
  const training = { ...spec.training, localSteps: localSteps * spec.rounds };
  const instructions = localInstructions({ ...spec, training }, adapterLayout(adapter));
  return { instructions, start: initialAdapter(adapter, spec.training.seed) };
}

/** Trains on the given mails alone and returns the trained adapter. */
export async function trainAlone(
  trainer: LocalTrainer,
  task: LocalTask,
  mails: readonly Mail[],
  options: {
    readonly name: string;
    readonly signal: AbortSignal;
    readonly onStep?: (step: number, total: number) => void;
  },
): Promise<StateDict> {
  const data: DataSource = { name: options.name, train: () => mails };
  const request = { ...task, data, round: 1, streamKey: options.name, optimizerState: undefined };
  const result = await trainer.train(request, options.signal, ({ step, totalSteps }) =>
    options.onStep?.(step, totalSteps),
  );
  return new Map([...task.start, ...result.trained]);
}
