import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtinMethods, findMethod } from "@fedlora/aggregators";
import { compileRun, loadBaseModel, type BaseModel } from "@fedlora/client-sdk";
import { compileRunSpec, type BaseModelHash, type RunSpec, type RunSpecInput } from "@fedlora/core";
import { loadSpamAssassin } from "../datasets/spam-assassin/corpus.js";
import { splitIntoMailboxes, type Mailbox } from "../datasets/spam-assassin/mailboxes.js";
import { runFederation, type FederationResult } from "./federation.js";
import { ProcessGroup } from "./processes.js";
import { createProgress, type DemoProgress } from "./progress.js";
import { heldOutOf } from "./reference-lines.js";
import { heldOutMails, miniLmFolder, writeMailboxes } from "./spam-task.js";

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

/** What a demo works with: the mail, the model with its graphs compiled, and a folder that goes when it ends. */
export interface DemoWorkplace<Name extends string> {
  readonly workFolder: string;
  /** Converted weights and compiled graphs. */
  readonly cacheFolder: string;
  readonly baseModel: BaseModel;
  readonly mailboxes: readonly Mailbox[];
  readonly specs: Readonly<Record<Name, RunSpec>>;
  readonly progress: DemoProgress;
  readonly signal: AbortSignal;
  /**
   * Runs a coordinator and a member for each mailbox, in processes that end with it.
   *
   * @param runName same name, same run; see `runFederation`
   * @param collect called while the coordinator still answers
   */
  federate<T>(spec: RunSpec, runName: string, collect: (result: FederationResult) => Promise<T>): Promise<T>;
}

/** Everything temporary is removed, every process ended, whatever happens. */
export async function inWorkplace<T, Name extends string>(
  options: SpamDemoOptions,
  inputs: (modelHash: BaseModelHash) => Readonly<Record<Name, RunSpecInput>>,
  work: (place: DemoWorkplace<Name>) => Promise<T>,
): Promise<T> {
  const { launcher, seed, signal, progress = createProgress() } = options;
  const processes = new ProcessGroup();
  const kill = (): void => processes.killAll();
  process.once("exit", kill);
  const workFolder = await mkdtemp(join(tmpdir(), "fedlora-demo-"));
  try {
    const cacheFolder = join(workFolder, "cache");
    progress.say("Reading 6,046 mails, leaving out near-duplicates; compiling the model meanwhile ...");
    const [{ mails }, { baseModel, specs }] = await Promise.all([
      loadSpamAssassin(),
      prepareModel(cacheFolder, inputs),
    ]);
    signal.throwIfAborted();
    const mailboxes = splitIntoMailboxes(mails, { heldOut: heldOutMails, seed });
    progress.say(
      `${mails.length} mails in ${mailboxes.length} mailboxes, ${heldOutOf(mailboxes).length} of them held out`,
    );
    const manifestFile = join(workFolder, "model.json");
    await writeFile(manifestFile, JSON.stringify(baseModel.manifest));
    let federations = 0;
    return await work({
      ...{ workFolder, cacheFolder, baseModel, mailboxes, specs, progress, signal },
      async federate(spec, runName, collect) {
        const folder = join(workFolder, `federation-${++federations}`);
        await mkdir(folder);
        await writeMailboxes(mailboxes, folder);
        const federation = await runFederation({
          ...{ launcher, runName, manifestFile, cacheFolder, spec, processes, progress, signal },
          workFolder: folder,
          modelFolder: baseModel.folder,
          members: mailboxes.map(({ name }) => name),
        });
        const collected = await collect(federation);
        federation.admin.close();
        await processes.stopAll();
        return collected;
      },
    });
  } finally {
    progress.end();
    await processes.stopAll();
    process.off("exit", kill);
    await rm(workFolder, { recursive: true, force: true });
  }
}

/** The model as every process finds it in the cache folder: weights converted, graphs compiled. */
async function prepareModel<Name extends string>(
  cacheFolder: string,
  inputs: (modelHash: BaseModelHash) => Readonly<Record<Name, RunSpecInput>>,
): Promise<{ readonly baseModel: BaseModel; readonly specs: Readonly<Record<Name, RunSpec>> }> {
  const baseModel = await loadBaseModel(miniLmFolder(), { cacheFolder });
  const { manifest } = baseModel;
  const specs: Partial<Record<Name, RunSpec>> = {};
  for (const [name, input] of Object.entries(inputs(manifest.hash)) as [Name, RunSpecInput][]) {
    const spec = compileRunSpec(input, { manifest });
    const { editsBase } = findMethod(builtinMethods, spec.method.name).capabilities;
    await compileRun(baseModel, spec, join(cacheFolder, "artifacts"), { editsBase });
    specs[name] = spec;
  }
  return { baseModel, specs: specs as Record<Name, RunSpec> };
}
