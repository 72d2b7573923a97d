import { FedLoraError } from "@fedlora/core";
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { QueueOptions } from "../queue/queue-session.js";
import { parseRedisAddress } from "../queue/redis-address.js";
import { htmlReport } from "../report/html-report.js";
import { summarize, type ScenarioSummary } from "../report/summary.js";
import { parseScenario } from "../scenario/parse-scenario.js";
import { plainVariant, variantNames } from "../scenario/variant-spec.js";
import { runScenario, type ScenarioProgress } from "./run-scenario.js";

export interface SimulateOptions {
  /** Path of the scenario. */
  readonly path: string;
  /** Names of variants; `all`: side by side; none: the scenario's run as it is. */
  readonly variants: "all" | readonly string[];
  /** Instead of the scenario's. */
  readonly seeds: readonly number[] | undefined;
  readonly workers: number;
  /** Workers in other processes, in the place of `workers`; undefined: none. */
  readonly queue?: QueueOptions | undefined;
  /** Default: `.fedlora/simulations/NAME`. */
  readonly outFolder: string | undefined;
  readonly cacheFolder: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly progress: ScenarioProgress;
  readonly signal: AbortSignal;
}

/**
 * Runs a scenario file and writes rounds.jsonl, summary.json and report.html.
 *
 * @throws FedLoraError `file-missing`, `scenario-invalid` and what `runScenario` throws
 */
export async function simulateScenario(
  options: SimulateOptions,
): Promise<{ readonly summary: ScenarioSummary; readonly outFolder: string }> {
  const { path, workers, queue, cacheFolder, progress, signal } = options;
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new FedLoraError("file-missing", `cannot read the scenario "${path}"`, { cause });
  });
  const scenario = parseScenario(text);
  const named = options.variants === "all" ? variantNames(scenario) : options.variants;
  const variants = named.length === 0 ? [plainVariant] : named;
  const outFolder = resolve(options.outFolder ?? join(".fedlora", "simulations", scenario.name));
  const result = await runScenario({
    scenario,
    folder: dirname(resolve(path)),
    variants,
    seeds: options.seeds ?? scenario.seeds,
    workers,
    queue: queue && { ...queue, workerCommand: workerCommand(path, queue) },
    outFolder,
    cacheFolder,
    progress,
    signal,
  });
  const summary = summarize(result, options.versions);
  await writeFile(join(outFolder, "summary.json"), `${JSON.stringify(summary, null, 2)}\n`);
  await writeFile(join(outFolder, "report.html"), await htmlReport(summary, result, text));
  return { summary, outFolder };
}

/** What a person calls on a machine that is to help; a password is left to fill in. */
function workerCommand(path: string, { redis, insecure }: QueueOptions): string {
  const { shown } = parseRedisAddress(redis, insecure);
  return `npx fedlora simulate-worker ${path} --redis ${shown}${insecure ? " --insecure" : ""}`;
}
