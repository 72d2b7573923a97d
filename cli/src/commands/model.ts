import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { createOutput, table } from "../output.js";
import { withAdmin, withCoordinator, withJson } from "./shared.js";

/** `fedlora model inspect|register`: the manifest that a coordinator knows a base model by. */
export function modelCommand(): Command {
  const command = new Command("model").description("describe base models");
  withJson(command.command("inspect <folder>"))
    .description("print a base model's content hash and adaptable modules, read from its files")
    .option("-o, --out <file>", "also write the manifest as JSON, for `fedlora serve --model`")
    .action(async (folder: string, options: { json?: boolean; out?: string }) => {
      const { inspectModel } = await import("@fedlora/client-sdk");
      const manifest = await inspectModel(folder);
      const output = createOutput(options.json === true);
      if (options.out !== undefined) await writeFile(options.out, `${JSON.stringify(manifest)}\n`);
      if (output.json) {
        output.print(JSON.stringify(manifest));
        return;
      }
      output.print(
        `${manifest.name} (${manifest.family}), ${manifest.numLayers} layers, ${manifest.numParameters.toLocaleString("en-US")} parameters`,
      );
      output.print(`hash ${manifest.hash}\n`);
      output.print(
        table(
          ["module", "in", "out", "layer"],
          manifest.modules.map((module) => [module.name, module.dIn, module.dOut, module.layer ?? undefined]),
        ),
      );
    });
  withJson(withCoordinator(command.command("register <folder>")))
    .description("tell a coordinator of a base model (its manifest, never its weights)")
    .action(async (folder: string, options: { coordinator: string; json?: boolean }) => {
      const { inspectModel } = await import("@fedlora/client-sdk");
      const manifest = await inspectModel(folder);
      await withAdmin(options, async (admin, output) => {
        const hash = await admin.registerModel(manifest);
        output.print(output.json ? JSON.stringify({ hash }) : hash);
      });
    });
  return command;
}
