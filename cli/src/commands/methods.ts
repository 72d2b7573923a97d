import type { MethodRow } from "@fedlora/aggregators";
import { Command } from "commander";
import { createOutput, formatBytes, table } from "../output.js";
import { parseCount } from "../count.js";
import { modelShapes, type ModelShapes } from "../model-shapes.js";
import { withJson } from "./shared.js";

interface Options {
  readonly json?: boolean;
  readonly model: string;
  readonly rank: number;
  readonly targetModules: string;
  readonly clients: number;
  readonly codec: string;
}

/** `fedlora methods`: every aggregation method, from its own declaration, with what it sends for a model and a rank. */
export function methodsCommand(): Command {
  return withJson(new Command("methods"))
    .description("list the aggregation methods: what each needs and allows, and what travels per client and round")
    .option("--model <name>", "a base model's folder or manifest, or shapes that are built in", "roberta-large")
    .option("--rank <r>", "LoRA rank", parseCount, 8)
    .option("--target-modules <list>", "endings of module names, separated by commas, or all-linear", "")
    .option("--clients <m>", "contributors per round", parseCount, 10)
    .option("--codec <codec>", "coding of updates, as in a run spec", "f32")
    .action(async (options: Options) => {
      const { builtinMethods, methodMatrix } = await import("@fedlora/aggregators");
      const model = await modelShapes(options.model);
      const rows = methodMatrix(builtinMethods.values(), {
        model,
        rank: options.rank,
        targetModules: targetsOf(options.targetModules, model),
        contributors: options.clients,
        codec: options.codec,
      });
      const output = createOutput(options.json === true);
      if (output.json) {
        output.print(JSON.stringify(rows));
        return;
      }
      output.print(declarations(rows));
      output.print(
        `\nper client and round: ${options.model}, rank ${options.rank}, ${options.clients} contributors, updates in ${options.codec}\n`,
      );
      output.print(traffic(rows));
    });
}

/** Query and value by default, by whichever names the model has for them. */
function targetsOf(list: string, model: ModelShapes): readonly string[] | string {
  if (list === "all-linear") return list;
  if (list !== "") return list.split(",").map((entry) => entry.trim());
  const usual = ["query", "value", "q_proj", "v_proj"];
  return usual.filter((ending) => model.modules.some(({ name }) => name.endsWith(`.${ending}`)));
}

function declarations(rows: readonly MethodRow[]): string {
  const yes = (value: boolean): string => (value ? "yes" : "no");
  return table(
    ["method", "exact", "sees", "ranks", "noise", "personal", "secure sums", "edits base", "stale", "client keeps"],
    rows.map(({ name, capabilities, secureSums, clientState }) => [
      name,
      yes(capabilities.exact),
      capabilities.sees,
      capabilities.ranks,
      capabilities.noise,
      yes(capabilities.personal),
      yes(secureSums),
      yes(capabilities.editsBase),
      yes(capabilities.toleratesStale),
      clientState.join(" ") || undefined,
    ]),
  );
}

function traffic(rows: readonly MethodRow[]): string {
  return table(
    ["method", "values up", "values down", "file up", "file down", "once", "base delta down"],
    rows.map(({ name, rounds, valuesOnce, valuesBaseDelta }) => [
      name,
      each(rounds.map(({ valuesUp }) => valuesUp.toLocaleString("en-US"))),
      each(rounds.map(({ valuesDown }) => valuesDown.toLocaleString("en-US"))),
      each(rounds.map(({ fileBytesUp }) => formatBytes(fileBytesUp))),
      each(rounds.map(({ fileBytesDown }) => formatBytes(fileBytesDown))),
      valuesOnce === 0 ? undefined : valuesOnce.toLocaleString("en-US"),
      valuesBaseDelta === 0 ? undefined : valuesBaseDelta.toLocaleString("en-US"),
    ]),
  );
}

/** One text where both rounds agree. */
function each(texts: readonly string[]): string {
  return [...new Set(texts)].join(" / ");
}
