import { availableParallelism } from "node:os";
import { FedLoraError } from "@fedlora/core";
import type { QueueOptions } from "@fedlora/simulations";
import { Command } from "commander";
import type { SimulateOptions } from "@fedlora/simulations";
import { createOutput } from "../output.js";
import { interruptSignal, wholeNumber, withJson, withRedis } from "./shared.js";

interface SimulateFlags {
  readonly json?: boolean;
  readonly schema?: boolean;
  readonly variant?: string;
  readonly seeds?: readonly number[];
  readonly workers?: number;
  readonly redis?: string;
  readonly listen?: string;
  readonly insecure?: boolean;
  readonly patience: number;
  readonly out?: string;
  readonly cache: string;
  readonly strictClaims?: boolean;
}

/** `fedlora simulate`: a scenario's run on virtual clients and virtual time. */
export function simulateCommand(version: string): Command {
  return scenarioCommand("simulate", "run a scenario: thousands of virtual clients, virtual time, one machine")
    .option("--variant <name>", "run this variant of the scenario instead of its run as it is")
    .option("--schema", "print the JSON Schema of scenarios")
    .action((path: string | undefined, flags: SimulateFlags) =>
      act(path, flags, flags.variant === undefined ? [] : [flags.variant], version),
    );
}

/** `fedlora compare`: all variants of a scenario over the same seeds and data. */
export function compareCommand(version: string): Command {
  return scenarioCommand("compare", "run all variants of a scenario over the same seeds and data, side by side").action(
    (path: string | undefined, flags: SimulateFlags) => act(path, flags, "all", version),
  );
}

function scenarioCommand(name: string, description: string): Command {
  return withRedis(withJson(new Command(name)))
    .description(description)
    .argument("[scenario]", "the scenario, YAML or JSON")
    .option("--seeds <list>", "seeds in the place of the scenario's, such as 0,1,2", parseSeeds)
    .option(
      "--workers <n>",
      "threads or engines that train at a time; changes no bit of the result (default: one per processor)",
      wholeNumber("--workers", 0, 256),
    )
    .option("--listen <host:port>", "with --redis: where workers fetch tensors (default: any port that faces Redis)")
    .option("--strict-claims", "exit with 1 where a claim of the scenario is not kept")
    .option("-o, --out <folder>", "where the results are written (default: .fedlora/simulations/NAME)")
    .option("--cache <folder>", "where models are prepared", ".fedlora/cache");
}

async function act(
  path: string | undefined,
  flags: SimulateFlags,
  variants: SimulateOptions["variants"],
  version: string,
): Promise<void> {
  const { scenarioJsonSchema, scenarioProgress, simulateScenario, textReport } = await import("@fedlora/simulations");
  const output = createOutput(flags.json === true);
  if (flags.schema === true) {
    output.print(JSON.stringify(scenarioJsonSchema(), null, 2));
    return;
  }
  if (path === undefined) throw new FedLoraError("config-invalid", "which scenario? name its file");
  const { summary, outFolder } = await simulateScenario({
    path,
    variants,
    seeds: flags.seeds,
    workers: flags.workers ?? availableParallelism(),
    queue: queueOf(flags),
    outFolder: flags.out,
    cacheFolder: flags.cache,
    versions: { fedlora: version, node: process.versions.node, v8: process.versions.v8 },
    progress: scenarioProgress(),
    signal: interruptSignal(),
  });
  output.print(output.json ? JSON.stringify(summary) : textReport(summary));
  output.note(`written to ${outFolder}`);
  const failed = summary.runs.filter(({ state }) => state === "failed");
  for (const run of failed) output.note(`${run.variant}, seed ${run.seed}: ${run.reason}`);
  const isBroken = summary.claims.some(({ outcome }) => outcome !== "kept");
  if (failed.length > 0 || (flags.strictClaims === true && isBroken)) process.exitCode = 1;
}

function queueOf({ redis, workers, listen, insecure = false, patience }: SimulateFlags): QueueOptions | undefined {
  if (redis === undefined) {
    if (listen === undefined) return undefined;
    throw new FedLoraError("config-invalid", "--listen is for workers on other machines: name their Redis by --redis");
  }
  if (workers !== undefined) {
    const message =
      "--workers is for threads of this process; with --redis it is an option of `fedlora simulate-worker`";
    throw new FedLoraError("config-invalid", message);
  }
  return { redis, listen, insecure, patienceMs: patience * 1000 };
}

function parseSeeds(value: string): readonly number[] {
  const seeds = value.split(",").map(wholeNumber("--seeds", 0, 2 ** 32 - 1));
  if (new Set(seeds).size === seeds.length) return seeds;
  throw new FedLoraError("config-invalid", `--seeds "${value}" names a seed twice`);
}
