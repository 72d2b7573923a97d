import { availableParallelism } from "node:os";
import { FedLoraError, noopLogger, systemClock } from "@fedlora/core";
import type { Logger } from "@fedlora/core";
import type { EngineName, EngineOptions, TrainingEngine } from "../engine.js";
import { openForkedEngine } from "../process/open-forked-engine.js";
import type { EngineStart } from "../runtime/protocol.js";
import { chooseEngine } from "./choose-engine.js";
import { timeEngines } from "./time-engines.js";
import type { TrialStep } from "./time-engines.js";

/** All trials of `auto` together. */
const TRIAL_BUDGET_MS = 5000;

export interface OpenEngineOptions extends Partial<EngineOptions> {
  /** Where `auto` keeps its choice. */
  readonly stateFolder?: string;
  /** The step that `auto` compares engines by; asked for only when it has to measure. */
  readonly trial?: () => Promise<TrialStep>;
  readonly logger?: Logger;
}

/**
 * Opens an engine in a process of its own. With `auto` (the default) the fastest one of this machine; where that one does
 * not start, the next in the order of `engineTable`.
 *
 * Throws `engine-unavailable` where the engine asked for, or any at all, cannot run.
 */
export async function openEngine(options: OpenEngineOptions = {}): Promise<TrainingEngine> {
  const { engine = "auto", stateFolder, trial, logger = noopLogger } = options;
  const start = { threads: options.threads ?? availableParallelism(), prepack: options.prepack ?? false };
  if (engine !== "auto") return openForkedEngine({ ...start, engine });
  const time = async (candidates: readonly EngineName[], step: TrialStep) =>
    timeEngines({
      candidates,
      trial: step,
      start,
      budgetMs: TRIAL_BUDGET_MS,
      clock: systemClock,
      open: openForkedEngine,
    });
  const choice = await chooseEngine({
    stateFolder,
    threads: start.threads,
    logger,
    time: trial && (async (candidates) => time(candidates, await trial())),
  });
  return openFirst(start, choice.order, logger);
}

async function openFirst(
  start: Omit<EngineStart, "engine">,
  order: readonly EngineName[],
  logger: Logger,
): Promise<TrainingEngine> {
  const reasons: string[] = [];
  for (const engine of order) {
    try {
      return await openForkedEngine({ ...start, engine });
    } catch (thrown) {
      const { message } = FedLoraError.from(thrown);
      reasons.push(message);
      logger.warn({ engine, reason: message }, "engine does not start");
    }
  }
  throw new FedLoraError("engine-unavailable", `no engine runs here: ${reasons.join("; ")}`);
}
