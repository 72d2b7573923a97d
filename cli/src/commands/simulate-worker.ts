import { FedLoraError } from "@fedlora/core";
import type { WorkerEvent } from "@fedlora/simulations";
import { Command } from "commander";
import { availableParallelism } from "node:os";
import { createOutput, formatSeconds } from "../output.js";
import { interruptSignal, wholeNumber, withJson, withRedis } from "./shared.js";

interface WorkerFlags {
  readonly json?: boolean;
  readonly redis?: string;
  readonly insecure?: boolean;
  readonly patience: number;
  readonly workers: number;
  readonly cache: string;
}

/** `fedlora simulate-worker`: trains for simulations on other machines until it is told to stop. */
export function simulateWorkerCommand(): Command {
  return withRedis(withJson(new Command("simulate-worker")))
    .description("train for a `fedlora simulate --redis` of the same scenario, until Ctrl-C")
    .argument("<scenario>", "the scenario, YAML or JSON: the same file as the simulation's")
    .option(
      "--workers <n>",
      "threads or engines that train at a time; changes no bit of the result",
      wholeNumber("--workers", 1, 256),
      availableParallelism(),
    )
    .option("--cache <folder>", "where models are prepared", ".fedlora/cache")
    .action(act);
}

async function act(path: string, { json, redis, insecure, patience, workers, cache }: WorkerFlags): Promise<void> {
  if (redis === undefined) {
    throw new FedLoraError("config-invalid", "which Redis? name it by --redis or FEDLORA_REDIS");
  }
  const { runSimulationWorker, scenarioProgress } = await import("@fedlora/simulations");
  const output = createOutput(json === true);
  await runSimulationWorker({
    path,
    redis,
    insecure: insecure === true,
    patienceMs: patience * 1000,
    workers,
    cacheFolder: cache,
    progress: scenarioProgress(),
    onEvent: (event) => {
      if (output.json) output.print(JSON.stringify(event));
      else output.note(describe(event));
    },
    signal: interruptSignal(),
  });
}

function describe(event: WorkerEvent): string {
  switch (event.event) {
    case "ready":
      return `Worker ${event.worker} is ready: ${counted(event.trainers, "trainer")}, engine ${event.engine}`;
    case "session":
      return `Simulation of ${event.of} begins`;
    case "shard":
      return `  ${event.shard.slice(0, 12)}: ${counted(event.requests, "client")}`;
    case "answered":
      return `  ${event.shard.slice(0, 12)}: answered after ${formatSeconds(event.ms)}`;
    case "failed":
      return `  ${event.shard.slice(0, 12)}: ${event.reason} (${event.code})`;
    case "session-over":
      return `Simulation of ${event.of} is over: ${counted(event.shards, "shard")}, ${counted(event.requests, "client")}`;
  }
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
