import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import {
  loadAdapterFolder,
  loadBaseModel,
  openModelWorkbench,
  saveAdapterFolder,
  type BaseModel,
} from "@fedlora/client-sdk";
import { compileRunSpec, readSafetensors } from "@fedlora/core";
import { loadSpamAssassin } from "../datasets/spam-assassin/corpus.js";
import { splitIntoMailboxes, type Mailbox } from "../datasets/spam-assassin/mailboxes.js";
import { pairedBootstrap, score } from "../metrics/classification.js";
import { runFederation, type FederationResult } from "./federation.js";
import { ProcessGroup } from "./processes.js";
import { createProgress, type DemoProgress } from "./progress.js";
import { heldOutOf, measureReferences, predict, type ReferencePredictions } from "./reference-lines.js";
import { reportText, roundLines, type ClassifiedMail, type DemoReport } from "./report.js";
import { heldOutMails, miniLmFolder, spamLabels, spamRunSpec, uniformStream, writeMailboxes } from "./spam-task.js";

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

const threeMails = [
  "Congratulations! You have been selected to receive a FREE vacation. Click here now, this offer ends tonight!!!",
  "Re: kernel panic on boot. Have you tried the older initrd? I had the same on my laptop and an upgrade of mkinitrd helped.",
  "Lunch on Thursday? The new place near the office has a decent menu, I can book a table for six.",
];

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
    progress.say("Reading 6,046 mails, leaving out near-duplicates ...");
    const { mails } = await loadSpamAssassin();
    const mailboxes = splitIntoMailboxes(mails, { heldOut: heldOutMails, seed: options.seed });
    await writeMailboxes(mailboxes, workFolder);
    progress.say(
      `${mails.length} mails in ${mailboxes.length} mailboxes, ${heldOutOf(mailboxes).length} of them held out`,
    );

    const cacheFolder = join(workFolder, "cache");
    const baseModel = await loadBaseModel(miniLmFolder(), { cacheFolder });
    const { rounds = 5, localSteps = 20, seed, signal } = options;
    const { hash } = baseModel.manifest;
    const spec = compileRunSpec(spamRunSpec({ modelHash: hash, members: mailboxes.length, rounds, localSteps, seed }), {
      manifest: baseModel.manifest,
    });
    const manifestFile = join(workFolder, "model.json");
    await writeFile(manifestFile, JSON.stringify(baseModel.manifest));
    const members = mailboxes.map(({ name }) => name);
    const setting = {
      launcher: options.launcher,
      workFolder,
      manifestFile,
      modelFolder: baseModel.folder,
      cacheFolder,
    };
    const federation = await runFederation({ ...setting, members, spec, processes, progress, signal });
    const adapterFolder = resolve(options.adapterFolder);
    await saveFinalAdapter(federation, baseModel, adapterFolder);
    federation.admin.close();
    await processes.stopAll();

    progress.say("The same training without a federation, for comparison:");
    const references = await measureReferences({ baseModel, cacheFolder, spec, mailboxes, progress, signal });
    progress.end();
    const used = await useAdapter(baseModel, cacheFolder, adapterFolder, mailboxes, signal);
    const report: DemoReport = {
      seed,
      members: mailboxes.map(describeMailbox),
      rounds: roundLines(federation.detail),
      ...compare(used.predicted, references, mailboxes, seed),
      stepsPerModel: rounds * localSteps,
      adapterFolder,
      mails: used.mails,
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

/** The last round's adapter, not the best one: choosing by the held-out mail would flatter the federation. */
async function saveFinalAdapter(
  { admin, runId, detail }: FederationResult,
  baseModel: BaseModel,
  folder: string,
): Promise<void> {
  const exported = await admin.getExport(runId, detail.spec.rounds);
  const { tensors } = readSafetensors(await admin.getBlob(exported.adapter.id));
  await mkdir(folder, { recursive: true });
  const saved = { spec: detail.spec.adapter, task: detail.spec.task, tensors };
  await saveAdapterFolder(folder, saved, baseModel.manifest, "sentence-transformers/all-MiniLM-L6-v2");
}

/** Loads the folder that was written, as a stranger would, and uses it. */
async function useAdapter(
  baseModel: BaseModel,
  cacheFolder: string,
  adapterFolder: string,
  mailboxes: readonly Mailbox[],
  signal: AbortSignal,
): Promise<{ readonly predicted: readonly number[]; readonly mails: readonly ClassifiedMail[] }> {
  const workbench = openModelWorkbench({ baseModel, cacheFolder, engine: { engine: "onnxruntime-cpu" } });
  try {
    const model = workbench.adapt(await loadAdapterFolder(adapterFolder, baseModel.manifest));
    const predicted = await predict(model, heldOutOf(mailboxes), signal);
    const classified = await model.classify(threeMails, { signal });
    const mails = threeMails.map((text, index) => ({
      text,
      label: classified[index]?.label ?? "",
      score: classified[index]?.score ?? 0,
    }));
    return { predicted, mails };
  } finally {
    await workbench.close();
  }
}

function compare(
  federated: readonly number[],
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
      line("untrained head", references.untrained),
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
