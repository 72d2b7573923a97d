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
  readonly untrained: readonly number[];
  readonly alone: readonly { readonly name: string; readonly predicted: readonly number[] }[];
  readonly pooled: readonly number[];
}

/** Cores that the reference trainings share; each has an engine of its own with one thread, as the members had. */
const enginesAtOnce = 2;

/**
 * What there is without a federation: the untrained head, each member alone, and all mail pooled in one place; the same
 * initial adapter and as many optimizer steps as a member takes in the run.
 */
export async function measureReferences(options: ReferenceOptions): Promise<ReferencePredictions> {
  const { spec, baseModel, mailboxes, signal, progress } = options;
  const task = localTask(spec, baseModel.manifest);
  const heldOut = heldOutOf(mailboxes);
  const pooled = mailboxes.flatMap(({ train }) => train);
  const jobs = [
    { name: "pooled", mails: pooled },
    ...mailboxes.map(({ name, train }) => ({ name: `${name} alone`, mails: train })),
  ];
  const predictions = new Map<string, readonly number[]>();
  const next = jobs.values();
  const work = async (workbench: ModelWorkbench): Promise<void> => {
    for (const { name, mails } of next) {
      const onStep = (step: number, total: number): void =>
        progress.update(name, step / total, `training ${step}/${total}`);
      const tensors = await trainAlone(workbench.trainer, task, mails, { name, signal, onStep });
      predictions.set(name, await predict(adapted(workbench, spec, tensors), heldOut, signal));
      progress.update(name, 1, "done");
    }
  };
  const workbenches = Array.from({ length: enginesAtOnce }, () =>
    openModelWorkbench({
      baseModel,
      cacheFolder: options.cacheFolder,
      engine: { engine: "onnxruntime-cpu", threads: 1 },
    }),
  );
  try {
    const [first] = workbenches;
    const untrained = first === undefined ? [] : await predict(adapted(first, spec, task.start), heldOut, signal);
    await Promise.all(workbenches.map(work));
    const of = (name: string): readonly number[] => predictions.get(name) ?? [];
    return {
      untrained,
      alone: mailboxes.map(({ name }) => ({ name, predicted: of(`${name} alone`) })),
      pooled: of("pooled"),
    };
  } finally {
    await Promise.all(workbenches.map((workbench) => workbench.close()));
  }
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

function adapted(workbench: ModelWorkbench, spec: RunSpec, tensors: StateDict): AdaptedModel {
  return workbench.adapt({ spec: spec.adapter, task: spec.task, tensors });
}
