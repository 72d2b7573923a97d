import { Command } from "commander";
import { clientCommand } from "./commands/client.js";
import { compileCommand } from "./commands/compile.js";
import { demoDataCommand } from "./commands/demo-data.js";
import { demoCommand } from "./commands/demo.js";
import { doctorCommand } from "./commands/doctor.js";
import { exportCommand } from "./commands/export.js";
import { initCommand } from "./commands/init.js";
import { methodsCommand } from "./commands/methods.js";
import { modelCommand } from "./commands/model.js";
import { privacyCommand } from "./commands/privacy.js";
import { runCommand } from "./commands/run.js";
import { serveCommand } from "./commands/serve.js";
import { simulateWorkerCommand } from "./commands/simulate-worker.js";
import { compareCommand, simulateCommand } from "./commands/simulate.js";

/** The whole command line; commands import what they need when they run, so that `--help` is quick. */
export function createProgram(version: string): Command {
  return new Command("fedlora")
    .description("Federated LoRA fine-tuning: train where the data is, aggregate what is learnt.")
    .version(version)
    .showSuggestionAfterError()
    .showHelpAfterError("(add --help for the options)")
    .addCommand(serveCommand())
    .addCommand(clientCommand())
    .addCommand(runCommand())
    .addCommand(privacyCommand())
    .addCommand(exportCommand())
    .addCommand(modelCommand())
    .addCommand(methodsCommand())
    .addCommand(compileCommand())
    .addCommand(initCommand())
    .addCommand(doctorCommand())
    .addCommand(simulateCommand(version))
    .addCommand(compareCommand(version))
    .addCommand(simulateWorkerCommand())
    .addCommand(demoCommand())
    .addCommand(demoDataCommand());
}
