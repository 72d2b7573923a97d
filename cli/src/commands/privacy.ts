import { Command, InvalidArgumentError } from "commander";
import { readBytes, readTextFile } from "../files.js";
import { modelShapes } from "../model-shapes.js";
import { createOutput } from "../output.js";
import { auditCommand } from "./privacy-audit.js";
import { parseRunId, withAdmin, withCoordinator, withJson } from "./shared.js";

const usualEpsilons = [0.5, 1, 2, 4, 8];

/** `fedlora privacy plan|show|ledger|audit`: what a run's privacy will cost, has cost, and what it hides. */
export function privacyCommand(): Command {
  const command = new Command("privacy").description("plan, follow and audit differential privacy");

  withJson(command.command("plan <spec>"))
    .description("print epsilon by rounds, noise by epsilon, and the noise that each method leaves in the weights")
    .option(
      "-m, --model <name>",
      "a base model's folder or manifest, or a well-known model, for the noise in the weights",
    )
    .option("--adapter <file>", "a safetensors adapter of the run: its own norms instead of a fresh adapter's")
    .option("--epsilons <list>", "epsilons of the reverse table, separated by commas", parseEpsilons, usualEpsilons)
    .action(
      async (specFile: string, options: { model?: string; adapter?: string; epsilons: number[]; json?: boolean }) => {
        const { parseRunSpec, readSafetensors } = await import("@fedlora/core");
        const { planPrivacy } = await import("../privacy/plan-privacy.js");
        const { privacyPlanText } = await import("../privacy/plan-text.js");
        const spec = parseRunSpec(await readTextFile(specFile, "run spec"));
        const model = options.model === undefined ? undefined : await modelShapes(options.model);
        const file = options.adapter === undefined ? undefined : await readBytes(options.adapter, "adapter");
        const adapter = file === undefined ? undefined : readSafetensors(file).tensors;
        const output = createOutput(options.json === true);
        const plan = planPrivacy({ spec, model, adapter, epsilons: options.epsilons });
        output.print(output.json ? JSON.stringify(plan) : privacyPlanText(plan));
      },
    );

  withJson(withCoordinator(command.command("show <run>")))
    .description("show what a run has released, and what is left of its budget")
    .action((run: string, options: { coordinator: string; insecure?: boolean; json?: boolean }) =>
      withAdmin(options, async (admin, output) => {
        const { privacyReportText } = await import("../privacy/report-text.js");
        const report = await admin.privacy(parseRunId(run));
        output.print(output.json ? JSON.stringify(report) : privacyReportText(run, report));
      }),
    );

  withJson(command.command("ledger <state>"))
    .description("show what a client, by its state folder, has released about its data sets in all runs")
    .option("--delta <number>", "at which epsilon is taken", parseDelta, 1e-5)
    .action(async (state: string, options: { delta: number; json?: boolean }) => {
      const { ledgerOf, ledgerText } = await import("../privacy/ledger-text.js");
      const ledger = await ledgerOf(state, options.delta);
      const output = createOutput(options.json === true);
      output.print(output.json ? JSON.stringify(ledger) : ledgerText(ledger));
    });

  return command.addCommand(auditCommand());
}

function parseEpsilons(text: string): number[] {
  const values = text.split(",").map(Number);
  if (values.every((value) => value > 0 && Number.isFinite(value))) return values.sort((a, b) => a - b);
  throw new InvalidArgumentError("It must be a list of numbers above 0, separated by commas, such as 1,4,8.");
}

function parseDelta(text: string): number {
  const value = Number(text);
  if (value > 0 && value < 1) return value;
  throw new InvalidArgumentError("It must be a number above 0 and below 1, such as 1e-5.");
}
