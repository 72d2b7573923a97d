import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { builtinMethods, findMethod } from "@fedlora/aggregators";
import { compileRun, loadBaseModel, type BaseModel } from "@fedlora/client-sdk";
import { compileRunSpec, type RunSpec } from "@fedlora/core";
import { loadSpamAssassin } from "../datasets/spam-assassin/corpus.js";
import { mailboxNames, splitIntoMailboxes, type Mailbox } from "../datasets/spam-assassin/mailboxes.js";
import { pairedBootstrap, score } from "../metrics/classification.js";
import { runFederation } from "./federation.js";
import { hashOfAdapter, saveFinalAdapter, useAdapter, type UsedAdapter } from "./final-adapter.js";
import { ProcessGroup } from "./processes.js";
import { createProgress, type DemoProgress } from "./progress.js";
import { heldOutOf, measureReferences, type ReferencePredictions } from "./reference-lines.js";
import { reportText, roundLines, type DemoReport } from "./report.js";
import {
  defaultLocalSteps,
  heldOutMails,
  miniLmFolder,
  spamLabels,
  spamRunSpec,
  uniformStream,
  writeMailboxes,
} from "./spam-task.js";

export interface SpamDemoOptions {
  /** The committed launcher of the `fedlora` command, which the coordinator and the members are started with. */
  readonly launcher: string;
  readonly seed: number;
  /** Folder that the PEFT adapter is written to. */
  readonly adapterFolder: string;
  readonly signal: AbortSignal;
  readonly rounds?: number;
  readonly localSteps?: number;
  readonly progress?: DemoProgress;
}

/**
 * The demo from start to finish: honest mailboxes, a federation of processes, reference lines, an adapter that PEFT loads.
 * Everything temporary is removed, every process ended, whatever happens.
 */
export async function runSpamDemo(
  options: SpamDemoOptions,
): Promise<{ readonly report: DemoReport; readonly text: string }> {
  const begin = performance.now();
  const progress = options.progress ?? createProgress();
  const processes = new ProcessGroup();
  const kill = (): void => processes.killAll();
  process.once("exit", kill);
  const workFolder = await mkdtemp(join(tmpdir(), "fedlora-demo-"));
  try {
    const { rounds = 5, localSteps = defaultLocalSteps, seed, signal } = options;
    const cacheFolder = join(workFolder, "cache");
    progress.say("Reading 6,046 mails, leaving out near-duplicates; compiling the model meanwhile ...");
    const [{ mails }, { baseModel, spec }] = await Promise.all([
      loadSpamAssassin(),
      prepareModel({ cacheFolder, rounds, localSteps, seed }),
    ]);
    signal.throwIfAborted();
    const mailboxes = splitIntoMailboxes(mails, { heldOut: heldOutMails, seed });
    await writeMailboxes(mailboxes, workFolder);
    progress.say(
      `${mails.length} mails in ${mailboxes.length} mailboxes, ${heldOutOf(mailboxes).length} of them held out`,
    );
    const manifestFile = join(workFolder, "model.json");
    await writeFile(manifestFile, JSON.stringify(baseModel.manifest));
    const federation = await runFederation({
      launcher: options.launcher,
      runName: `fedlora demo ${seed}`,
      workFolder,
      manifestFile,
      modelFolder: baseModel.folder,
      cacheFolder,
      members: mailboxes.map(({ name }) => name),
      spec,
      processes,
      progress,
      signal,
    });
    const adapterFolder = resolve(options.adapterFolder);
    await saveFinalAdapter(federation, baseModel, adapterFolder);
    federation.admin.close();
    await processes.stopAll();

    progress.say("The same training without a federation, for comparison:");
    const measured = { baseModel, cacheFolder, spec, mailboxes, progress, signal };
    const [references, used] = [measureReferences(measured), useAdapter({ ...measured, adapterFolder })];
    // Every engine is closed before the work folder goes, also after a failure.
    await Promise.allSettled([references, used]);
    progress.end();
    const report: DemoReport = {
      seed,
      members: mailboxes.map(describeMailbox),
      rounds: roundLines(federation.detail),
      ...compare(await used, await references, mailboxes, seed),
      stepsPerModel: rounds * localSteps,
      adapterFolder,
      adapterHash: await hashOfAdapter(adapterFolder),
      mails: (await used).mails,
      seconds: (performance.now() - begin) / 1000,
    };
    return { report, text: reportText(report) };
  } finally {
    progress.end();
    await processes.stopAll();
    process.off("exit", kill);
    await rm(workFolder, { recursive: true, force: true });
  }
}

/** The model as every process finds it in the cache folder: weights converted, graphs compiled. */
async function prepareModel(options: {
  readonly cacheFolder: string;
  readonly rounds: number;
  readonly localSteps: number;
  readonly seed: number;
}): Promise<{ readonly baseModel: BaseModel; readonly spec: RunSpec }> {
  const { cacheFolder, rounds, localSteps, seed } = options;
  const baseModel = await loadBaseModel(miniLmFolder(), { cacheFolder });
  const { manifest } = baseModel;
  const input = spamRunSpec({ modelHash: manifest.hash, members: mailboxNames.length, rounds, localSteps, seed });
  const spec = compileRunSpec(input, { manifest });
  const { editsBase } = findMethod(builtinMethods, spec.method.name).capabilities;
  await compileRun(baseModel, spec, join(cacheFolder, "artifacts"), { editsBase });
  return { baseModel, spec };
}

function compare(
  { federated, untrained }: UsedAdapter,
  references: ReferencePredictions,
  mailboxes: readonly Mailbox[],
  seed: number,
): Pick<DemoReport, "federated" | "references" | "gainOverMean" | "winProbability"> {
  const truth = heldOutOf(mailboxes).map(({ label }) => spamLabels.indexOf(label));
  const positive = spamLabels.indexOf("spam");
  const line = (name: string, predicted: readonly number[]) => ({ name, ...score(predicted, truth, positive) });
  const alone = references.alone.map(({ name, predicted }) => ({ ...line(`${name} alone`, predicted), predicted }));
  const meanF1 = alone.reduce((sum, { f1 }) => sum + f1, 0) / alone.length;
  const best = alone.reduce((a, b) => (b.f1 > a.f1 ? b : a));
  const fed = line("federated", federated);
  return {
    federated: fed,
    references: [
      line("untrained head", untrained),
      ...alone.map(({ name, accuracy, f1 }) => ({ name, accuracy, f1 })),
      line("all mail pooled", references.pooled),
    ],
    gainOverMean: 100 * (fed.f1 - meanF1),
    winProbability: pairedBootstrap(federated, best.predicted, truth, positive, uniformStream(seed)),
  };
}

function describeMailbox({ name, train }: Mailbox): DemoReport["members"][number] {
  return { name, mails: train.length, spam: train.filter(({ label }) => label === "spam").length };
}
