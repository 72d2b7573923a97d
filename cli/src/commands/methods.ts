import { Command } from "commander";
import { createOutput, table } from "../output.js";
import { withJson } from "./shared.js";

/** `fedlora methods`: the built-in aggregation methods, from their own declarations. */
export function methodsCommand(): Command {
  return withJson(new Command("methods"))
    .description("list the aggregation methods and what each needs and allows")
    .action(async (options: { json?: boolean }) => {
      const { builtinMethods } = await import("@fedlora/aggregators");
      const output = createOutput(options.json === true);
      const described = [...builtinMethods.values()].map(({ name, version, paper, summary, capabilities }) => {
        return { name, version, paper, summary, capabilities };
      });
      if (output.json) {
        output.print(JSON.stringify(described));
        return;
      }
      const rows = described.map(({ name, capabilities, summary }) => [
        name,
        capabilities.sees,
        capabilities.exact ? "yes" : "no",
        capabilities.ranks,
        capabilities.codecs.join(" "),
        capabilities.weightings.join(" "),
        summary,
      ]);
      output.print(table(["method", "sees", "exact", "ranks", "codecs", "weightings", "what it does"], rows));
    });
}
