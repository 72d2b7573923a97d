import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { parseRunId, withAdmin, withCoordinator, withJson, wholeNumber } from "./shared.js";

/** `fedlora export RUN --out FOLDER`: a PEFT adapter folder. */
export function exportCommand(): Command {
  return withJson(withCoordinator(new Command("export")))
    .description("write a run's adapter as a folder that PEFT loads")
    .argument("<run>", "run id")
    .requiredOption("-o, --out <folder>", "folder to write; made when missing")
    .option(
      "--round <n>",
      "round to export; 0: the best, or the last where nothing was evaluated",
      wholeNumber("--round", 0, 100_000),
      0,
    )
    .option("--form <form>", "what to write", "peft")
    .action(
      (
        run: string,
        options: { coordinator: string; insecure?: boolean; json?: boolean; out: string; round: number; form: string },
      ) =>
        withAdmin(options, async (admin, output) => {
          const exported = await admin.getExport(parseRunId(run), options.round, options.form);
          await mkdir(options.out, { recursive: true });
          await writeFile(join(options.out, "adapter_model.safetensors"), await admin.getBlob(exported.adapter.id));
          await writeFile(
            join(options.out, "adapter_config.json"),
            `${JSON.stringify(exported.adapterConfig, null, 2)}\n`,
          );
          const result = {
            folder: options.out,
            round: exported.round,
            adapter: exported.adapter.id,
            bytes: exported.adapter.size,
          };
          output.print(output.json ? JSON.stringify(result) : `round ${exported.round} written to ${options.out}`);
        }),
    );
}
