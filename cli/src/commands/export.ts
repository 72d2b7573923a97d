import { Command } from "commander";
import type { ExportResult } from "../export/export-run.js";
import { formatBytes, table, type Output } from "../output.js";
import { interruptSignal, parseRunId, wholeNumber, withAdmin, withCoordinator, withJson } from "./shared.js";

interface ExportOptions {
  readonly coordinator: string;
  readonly insecure?: boolean;
  readonly json?: boolean;
  readonly out: string;
  readonly round: number;
  readonly form: string;
  readonly model?: string;
  readonly rank?: number;
}

/** `fedlora export RUN --out FOLDER`: a PEFT adapter folder, or a model folder with the adapter merged in. */
export function exportCommand(): Command {
  return withJson(withCoordinator(new Command("export")))
    .description("write what a run learnt as a folder that PEFT or transformers loads")
    .argument("<run>", "run id")
    .requiredOption("-o, --out <folder>", "folder to write; made when missing")
    .option(
      "--round <n>",
      "round to export; 0: the best, or the last where nothing was evaluated",
      wholeNumber("--round", 0, 100_000),
      0,
    )
    .option(
      "--form <form>",
      "peft: the adapter as it is; where the run changed the base weights, stacked: an adapter of a higher rank that holds " +
        "the changes; truncated: one of the run's rank, and what that leaves out; merged: a whole model",
      "peft",
    )
    .option("-m, --model <folder>", "base-model folder, for --form merged")
    .option("--rank <n>", "rank of --form truncated; default: the run's", wholeNumber("--rank", 1, 4096))
    .action(runExport);
}

async function runExport(run: string, options: ExportOptions): Promise<void> {
  const runId = parseRunId(run);
  const { assertExportOptions, exportRun } = await import("../export/export-run.js");
  assertExportOptions(options);
  await withAdmin(options, async (admin, output) => {
    const { out, round, form, model, rank } = options;
    const note = (text: string): void => output.note(text);
    const result = await exportRun(admin, { runId, out, round, form, model, rank }, note, interruptSignal());
    if (output.json) output.print(JSON.stringify(result));
    else describe(result, output);
  });
}

function describe({ folder, form, round, bytes, rank, leftOut, modules }: ExportResult, output: Output): void {
  if (modules !== undefined) {
    const rows = modules.map((each) => [
      each.name,
      each.rank,
      each.norm.toPrecision(4),
      each.leftOut.toPrecision(3),
      each.norm === 0 ? undefined : (each.leftOut / each.norm).toPrecision(3),
    ]);
    output.print(`${table(["module", "rank", "norm", "left out", "relative"], rows)}\n`);
  }
  const what = rank === undefined ? form : `${form}, rank ${rank}`;
  const left = leftOut === undefined ? "" : `; left out ${leftOut.toPrecision(3)} of the change's norm`;
  output.print(`round ${round} written to ${folder} (${what}, ${formatBytes(bytes)})${left}`);
}
