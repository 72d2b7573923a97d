import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { FedLoraError, canonicalJson } from "@fedlora/core";
import type { Logger } from "@fedlora/core";
import { replaceFile } from "@fedlora/core/node";
import { z } from "zod";
import type { EngineName } from "../engine.js";
import { readInstructionSet } from "../runtime/fingerprint.js";
import { engineTable } from "./engine-table.js";
import { exclusionReason } from "./exclusion.js";
import { installedVersion } from "./installed-version.js";
import type { EngineTiming } from "./time-engines.js";

export interface EngineChoice {
  /** The engine chosen, then those to fall back on. */
  readonly order: readonly EngineName[];
  readonly why: string;
  readonly timings: readonly EngineTiming[];
}

export interface ChooseEngineOptions {
  /** Where the choice is kept; absent: it is made anew every time. */
  readonly stateFolder: string | undefined;
  readonly threads: number;
  readonly logger: Logger;
  /** Times a real step on the candidates; absent: the first that opens is taken. */
  readonly time: ((candidates: readonly EngineName[]) => Promise<readonly EngineTiming[]>) | undefined;
  /** Replaced in tests. */
  readonly versionOf?: (packageName: string) => string | undefined;
  readonly exclude?: (engine: EngineName) => string | undefined;
}

const names = engineTable.map(({ engine }) => engine);
const timingSchema = z.object({
  engine: z.enum(names),
  stepMs: z.number().optional(),
  couldRun: z.boolean(),
  reason: z.string(),
});
const storedSchema = z.object({
  machine: z.string(),
  choice: z.object({ order: z.array(z.enum(names)).min(1), why: z.string(), timings: z.array(timingSchema) }),
});

/**
 * Decides which engine to use on this machine. The choice is kept in `engine-choice.json` of the state folder for as long
 * as processor, packages and thread count stay the same.
 *
 * Throws `engine-unavailable` naming each engine's reason where none can run.
 */
export async function chooseEngine(options: ChooseEngineOptions): Promise<EngineChoice> {
  const { exclude = exclusionReason, versionOf = installedVersion, logger } = options;
  const versions = engineTable.map(({ packageName }) => versionOf(packageName));
  const machine = machineKey(versions, options.threads);
  const known = await readChoice(options.stateFolder, machine);
  if (known !== undefined) return known;

  const candidates: EngineName[] = [];
  engineTable.forEach(({ engine }, i) => {
    if (versions[i] === undefined) return;
    const reason = exclude(engine);
    if (reason === undefined) candidates.push(engine);
    else logger.info({ engine, reason }, "engine left out");
  });
  if (candidates.length === 0) throw new FedLoraError("engine-unavailable", "no engine's package is installed");
  const timings = (await options.time?.(candidates)) ?? [];
  for (const { engine, stepMs, reason } of timings) logger.info({ engine, stepMs, reason }, "engine timed");
  const choice = decide(candidates, timings);
  logger.info({ engine: choice.order[0], why: choice.why }, "engine chosen");
  // Without times it is only a guess, made again at the next start.
  if (timings.length > 0) await writeChoice(options.stateFolder, machine, choice);
  return choice;
}

function decide(candidates: readonly EngineName[], timings: readonly EngineTiming[]): EngineChoice {
  const timed = timings
    .flatMap(({ engine, stepMs }) => (stepMs === undefined ? [] : [{ engine, stepMs }]))
    .sort((a, b) => a.stepMs - b.stepMs);
  const broken = new Set(timings.filter(({ couldRun }) => !couldRun).map(({ engine }) => engine));
  const order = [...new Set([...timed.map(({ engine }) => engine), ...candidates])].filter((name) => !broken.has(name));
  if (order.length === 0) {
    const reasons = timings.map(({ engine, reason }) => `${engine}: ${reason}`).join("; ");
    throw new FedLoraError("engine-unavailable", `no engine runs here: ${reasons}`);
  }
  const [best, next] = timed.map(({ engine, stepMs }) => `${engine} ${stepMs.toFixed(0)} ms`);
  if (best === undefined) return { order, why: "expected to be the fastest; no step was timed", timings };
  return {
    order,
    why: `fastest step: ${best}, ${next === undefined ? "no other one timed" : `next ${next}`}`,
    timings,
  };
}

/** What a choice depends on: processor, instruction set, cores used, Node and package versions. */
function machineKey(versions: readonly (string | undefined)[], threads: number): string {
  const facts = canonicalJson({
    processor: cpus()[0]?.model ?? "",
    instructionSet: readInstructionSet(),
    node: process.versions.node,
    versions: versions.map((version) => version ?? null),
    threads,
  });
  return createHash("sha256").update(facts).digest("hex");
}

const fileName = "engine-choice.json";

async function readChoice(stateFolder: string | undefined, machine: string): Promise<EngineChoice | undefined> {
  if (stateFolder === undefined) return undefined;
  const text = await readFile(join(stateFolder, fileName), "utf8").catch(() => "null");
  try {
    const stored = storedSchema.parse(JSON.parse(text));
    if (stored.machine !== machine) return undefined;
    const timings = stored.choice.timings.map(({ stepMs, ...rest }) => ({ ...rest, stepMs }));
    return { ...stored.choice, timings };
  } catch {
    // A missing or damaged cache costs one more measurement.
    return undefined;
  }
}

async function writeChoice(stateFolder: string | undefined, machine: string, choice: EngineChoice): Promise<void> {
  if (stateFolder === undefined) return;
  await mkdir(stateFolder, { recursive: true });
  await replaceFile(join(stateFolder, fileName), `${JSON.stringify({ machine, choice }, undefined, 1)}\n`);
}
