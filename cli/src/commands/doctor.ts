import { Command } from "commander";
import { createOutput } from "../output.js";
import { wholeNumber, withJson } from "./shared.js";

/** `fedlora doctor`: which training engines run here, how fast each is, which one `auto` would take and why. */
export function doctorCommand(): Command {
  return withJson(new Command("doctor"))
    .description("list the training engines of this machine, measured")
    .option("--threads <n>", "threads of an engine; default: the cores", wholeNumber("--threads", 1, 1024))
    .action(async (options: { json?: boolean; threads?: number }) => {
      const { diagnose, formatDoctorReport } = await import("@fedlora/client-sdk/engine");
      const output = createOutput(options.json === true);
      if (!output.json) output.note("measuring the engines, about a second each ...");
      const report = await diagnose(options.threads === undefined ? {} : { threads: options.threads });
      output.print(output.json ? JSON.stringify(report) : formatDoctorReport(report));
      if (report.choice === undefined) process.exitCode = 1;
    });
}
