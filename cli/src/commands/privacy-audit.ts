import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Example } from "@fedlora/client-sdk";
import { FedLoraError, type ModelManifest, type RunSpec } from "@fedlora/core";
import type { AuditSetting } from "@fedlora/simulations";
import { Command } from "commander";
import { parseCount } from "../count.js";
import { fileDataSource } from "../data-file.js";
import { readTextFile } from "../files.js";
import { createOutput } from "../output.js";
import { interruptSignal, wholeNumber, withJson } from "./shared.js";

interface AuditCommandOptions {
  readonly model?: string;
  readonly data?: string;
  readonly seed: number;
  readonly candidates: number;
  readonly runs: number;
  readonly clients: number;
  readonly json?: boolean;
}

/** `fedlora privacy audit`: attacks simulated uploads for members and for the number of examples. */
export function auditCommand(): Command {
  return withJson(new Command("audit"))
    .description(
      "attack one client's upload, with and without privacy: whose example was there, and how many there were",
    )
    .argument("[spec]", "run spec (YAML or JSON); default: a spam filter on real mail that comes along")
    .option("-m, --model <folder>", "base-model folder, for a spec of yours")
    .option("-d, --data <file>", "examples, one JSON object per line, for a spec of yours")
    .option("--candidates <n>", "examples whose membership is guessed", parseCount, 100)
    .option("--runs <n>", "attacked runs for each setting", parseCount, 4)
    .option("--clients <n>", "shadow clients of the attack on the number of examples", parseCount, 24)
    .option("--seed <n>", "seed of the coins, the data sets and the training", wholeNumber("--seed", 0, 2 ** 32 - 1), 0)
    .action(async (specFile: string | undefined, options: AuditCommandOptions) => {
      const { auditText, createProgress, miniLmFolder, runAudit } = await import("@fedlora/simulations");
      const { loadBaseModel, openModelWorkbench } = await import("@fedlora/client-sdk");
      const subject = specFile === undefined ? await builtinSubject() : await ownSubject(specFile, options);
      const signal = interruptSignal();
      const progress = createProgress();
      const cacheFolder = await mkdtemp(join(tmpdir(), "fedlora-audit-"));
      try {
        progress.say("Preparing the model ...");
        const baseModel = await loadBaseModel(options.model ?? miniLmFolder(), { cacheFolder });
        const { spec, settings } = subject.of(baseModel.manifest);
        const workbench = openModelWorkbench({ baseModel, cacheFolder });
        let stage = "";
        try {
          const rows = await runAudit({
            ...{ trainer: workbench.trainer, manifest: baseModel.manifest, spec, settings, signal },
            examples: subject.examples,
            scale: scaleOf(options, spec),
            seed: options.seed,
            onProgress: (setting, share, what) => {
              if (setting !== stage) progress.say(`Attacking: ${setting}`);
              stage = setting;
              progress.update(setting, share, what);
            },
          });
          progress.end();
          const output = createOutput(options.json === true);
          output.print(output.json ? JSON.stringify(rows) : auditText(rows));
        } finally {
          progress.end();
          await workbench.close();
        }
      } finally {
        await rm(cacheFolder, { recursive: true, force: true });
      }
    });
}

interface Subject {
  readonly examples: readonly Example[];
  of(manifest: ModelManifest): { readonly spec: RunSpec; readonly settings: readonly AuditSetting[] };
}

async function builtinSubject(): Promise<Subject> {
  const { loadSpamAssassin, spamAuditSettings, spamAuditSpec } = await import("@fedlora/simulations");
  const settings = spamAuditSettings(8);
  const { mails } = await loadSpamAssassin();
  return { examples: mails, of: ({ hash }) => ({ spec: spamAuditSpec(hash), settings }) };
}

async function ownSubject(specFile: string, { model, data }: AuditCommandOptions): Promise<Subject> {
  if (model === undefined || data === undefined) {
    throw new FedLoraError("config-invalid", "an audit of a run spec needs --model and --data, to make clients of");
  }
  const { parseRunSpec } = await import("@fedlora/core");
  const { auditSettings } = await import("../privacy/audit-settings.js");
  const text = await readTextFile(specFile, "run spec");
  const source = await fileDataSource({ name: "audit", train: data, evaluation: undefined });
  const examples: Example[] = [];
  for await (const example of await source.train(new AbortController().signal)) examples.push(example);
  return {
    examples,
    of: (manifest) => {
      const spec = parseRunSpec(text, { manifest });
      return { spec, settings: auditSettings(spec) };
    },
  };
}

/** Clients have at least the examples that one private step takes on the average. */
function scaleOf({ candidates, runs, clients }: AuditCommandOptions, { training }: RunSpec) {
  const smallest = Math.max(8, training.batchSize * training.gradientAccumulation);
  return { candidates, runs, clients, sizes: [smallest, 16 * smallest] as const };
}
