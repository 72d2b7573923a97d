import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { createOutput } from "../output.js";
import { interruptSignal, wholeNumber, withJson } from "./shared.js";

/** `fedlora demo`: a federated spam filter on this machine, from nothing to a classified mail. */
export function demoCommand(): Command {
  return withJson(new Command("demo"))
    .description("train a spam filter over four mailboxes that never leave their processes")
    .option(
      "--seed <n>",
      "seed of the split, the initial adapter and the training",
      wholeNumber("--seed", 0, 2 ** 32 - 1),
      0,
    )
    .option("--private", "train once more with differential privacy for every mail, and compare")
    .option("-o, --out <folder>", "where the adapter is written", ".fedlora/demo/adapter")
    .action(async (options: { json?: boolean; private?: boolean; seed: number; out: string }) => {
      const { runPrivateDemo, runSpamDemo } = await import("@fedlora/simulations");
      const launcher = fileURLToPath(new URL("../../bin/fedlora.js", import.meta.url));
      const output = createOutput(options.json === true);
      const settings = {
        launcher,
        seed: options.seed,
        adapterFolder: options.out,
        signal: interruptSignal(),
      };
      const result = await (options.private === true ? runPrivateDemo(settings) : runSpamDemo(settings));
      output.print(output.json ? JSON.stringify(result.report) : result.text);
    });
}
