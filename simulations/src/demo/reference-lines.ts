import { openModelWorkbench, type AdaptedModel, type BaseModel, type ModelWorkbench } from "@fedlora/client-sdk";
import type { RunSpec, StateDict } from "@fedlora/core";
import type { Mail } from "../datasets/spam-assassin/corpus.js";
import type { Mailbox } from "../datasets/spam-assassin/mailboxes.js";
import { localTask, trainAlone } from "./local-training.js";
import type { DemoProgress } from "./progress.js";
import { spamLabels } from "./spam-task.js";

export interface ReferenceOptions {
  readonly baseModel: BaseModel;
  readonly cacheFolder: string;
  readonly spec: RunSpec;
  readonly mailboxes: readonly Mailbox[];
  readonly progress: DemoProgress;
  readonly signal: AbortSignal;
}

/** Predicted label indices on the held-out mails of all mailboxes, in their order. */
export interface ReferencePredictions {
  readonly alone: readonly { readonly name: string; readonly predicted: readonly number[] }[];
  readonly pooled: readonly number[];
}

/**
 * What there is without a federation: each member alone, and all mail pooled in one place; the same initial adapter and as
 * many optimizer steps as a member takes in the run. All train at once, with a single-threaded engine each, as the members
 * did.
 */
export async function measureReferences(options: ReferenceOptions): Promise<ReferencePredictions> {
  const { spec, baseModel, mailboxes, signal, progress } = options;
  const task = localTask(spec, baseModel.manifest);
  const heldOut = heldOutOf(mailboxes);
  const measure = async (name: string, mails: readonly Mail[]): Promise<readonly number[]> => {
    const workbench = openWorkbench(options);
    const onStep = (step: number, total: number): void =>
      progress.update(name, step / total, `training ${step}/${total}`);
    try {
      const tensors = await trainAlone(workbench.trainer, task, mails, { name, signal, onStep });
      progress.update(name, 1, "predicting");
      const predicted = await predict(adapted(workbench, spec, tensors), heldOut, signal);
      progress.update(name, 1, "done");
      return predicted;
    } finally {
      await workbench.close();
    }
  };
  const alone = mailboxes.map(async ({ name, train }) => ({ name, predicted: await measure(`${name} alone`, train) }));
  const pooled = measure(
    "pooled",
    mailboxes.flatMap(({ train }) => train),
  );
  // Every engine is closed before a failure is passed on.
  await Promise.allSettled([...alone, pooled]);
  return { alone: await Promise.all(alone), pooled: await pooled };
}

/** An engine of one thread, as a member has. */
export function openWorkbench({
  baseModel,
  cacheFolder,
}: Pick<ReferenceOptions, "baseModel" | "cacheFolder">): ModelWorkbench {
  return openModelWorkbench({ baseModel, cacheFolder, engine: { engine: "onnxruntime-cpu", threads: 1 } });
}

export function heldOutOf(mailboxes: readonly Mailbox[]): Mail[] {
  return mailboxes.flatMap(({ heldOut }) => heldOut);
}

export async function predict(model: AdaptedModel, mails: readonly Mail[], signal: AbortSignal): Promise<number[]> {
  const results = await model.classify(
    mails.map(({ text }) => text),
    { signal },
  );
  return results.map(({ label }) => spamLabels.indexOf(label as (typeof spamLabels)[number]));
}

/** The base model with an adapter of the run. */
export function adapted(workbench: ModelWorkbench, spec: RunSpec, tensors: StateDict): AdaptedModel {
  return workbench.adapt({ spec: spec.adapter, task: spec.task, tensors });
}
