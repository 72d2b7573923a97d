import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { ClientEvent, EngineName, OwnerPolicy } from "@fedlora/client-sdk";
import { FedLoraError } from "@fedlora/core";
import { Command, Option } from "commander";
import { parse } from "yaml";
import { z } from "zod";
import { fileDataSource } from "../data-file.js";
import { createOutput, formatBytes, type Output } from "../output.js";
import { interruptSignal, parseRunId, wholeNumber, withCoordinator, withJson } from "./shared.js";

interface ClientOptions {
  readonly coordinator: string;
  readonly json?: boolean;
  readonly model: string;
  readonly data: string;
  readonly evaluation?: string;
  readonly state: string;
  readonly cache?: string;
  readonly name?: string;
  readonly run?: string;
  readonly engine: EngineName | "auto";
  readonly threads?: number;
  readonly deviceClass?: string;
  readonly maxRank?: number;
  readonly policy?: string;
  readonly insecure?: boolean;
}

const engines = [
  "auto",
  "onnxruntime-cpu",
  "onnxruntime-webgpu",
  "onnxruntime-cuda",
  "onnxruntime-web",
  "tfjs-node-gpu",
  "tfjs-node",
  "tfjs-wasm",
  "tfjs-cpu",
];

/** `fedlora client`: takes part in a run with the mail, notes or records of a JSON-lines file. */
export function clientCommand(): Command {
  return withJson(withCoordinator(new Command("client")))
    .description("train on local data for a coordinator's runs")
    .requiredOption("-m, --model <folder>", "base-model folder: config.json, safetensors, tokenizer.json")
    .requiredOption(
      "-d, --data <file>",
      'training examples as JSON lines: {"text", "label"}, {"text"} or {"prompt", "completion"}',
    )
    .option("-e, --evaluation <file>", "held-out examples for federated evaluation")
    .requiredOption("-s, --state <folder>", "folder for keys, caches and unfinished work")
    .option("--cache <folder>", "folder for converted weights and compiled graphs, may be shared; default: in --state")
    .option("-n, --name <text>", "name that the operator sees; default: the data file's folder")
    .option("-r, --run <id>", "take part in this run only")
    .addOption(
      new Option("--engine <name>", "training engine; auto measures what is there").choices(engines).default("auto"),
    )
    .option("--device-class <word>", "class of this machine, for rank plans by class (tiers)")
    .option("--max-rank <n>", "largest LoRA rank to train", wholeNumber("--max-rank", 1, 256))
    .option("--threads <n>", "threads of the engine", wholeNumber("--threads", 1, 1024))
    .option(
      "--policy <file>",
      "owner's policy (YAML or JSON): methods, baseModels, maxDownloadBytes, maxUploadBytes, hours",
    )
    .action(runClient);
}

async function runClient(options: ClientOptions): Promise<void> {
  const { FederatedClient } = await import("@fedlora/client-sdk");
  const name = options.name ?? basename(dirname(options.data));
  const data = await fileDataSource({ train: options.data, evaluation: options.evaluation, name });
  const client = new FederatedClient({
    coordinator: options.coordinator,
    baseModel: options.model,
    stateFolder: options.state,
    data,
    name,
    engine: { engine: options.engine, ...(options.threads === undefined ? {} : { threads: options.threads }) },
    ...(options.cache === undefined ? {} : { modelCacheFolder: options.cache }),
    ...(options.deviceClass === undefined ? {} : { deviceClass: options.deviceClass }),
    ...(options.maxRank === undefined ? {} : { maxRank: options.maxRank }),
    ...(options.run === undefined ? {} : { runId: parseRunId(options.run) }),
    ...(options.policy === undefined ? {} : { policy: readPolicy(options.policy) }),
    insecure: options.insecure === true,
  });
  const output = createOutput(options.json === true);
  const signal = interruptSignal();
  try {
    for await (const event of client.run(signal)) {
      if (output.json) output.print(JSON.stringify(event));
      else describe(event, output);
      if (event.type === "ended" && event.state === "failed") process.exitCode = 1;
    }
  } finally {
    await client.close();
  }
}

const policySchema = z.strictObject({
  methods: z.array(z.string()).optional(),
  baseModels: z.array(z.string()).optional(),
  maxDownloadBytes: z.number().positive().optional(),
  maxUploadBytes: z.number().positive().optional(),
  hours: z.strictObject({ from: z.number().min(0).max(24), to: z.number().min(0).max(24) }).optional(),
});

function readPolicy(path: string): OwnerPolicy {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new FedLoraError("file-missing", `policy file "${path}" cannot be read`, { cause });
  }
  const parsed = policySchema.safeParse(parseYaml(path, text));
  if (!parsed.success)
    throw new FedLoraError("config-invalid", `policy file "${path}": ${z.prettifyError(parsed.error)}`);
  // Absent and undefined are the same to a reader of the policy, but not to the type checker.
  return Object.fromEntries(Object.entries(parsed.data).filter(([, value]) => value !== undefined));
}

function parseYaml(path: string, text: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    throw new FedLoraError("file-invalid", `policy file "${path}" is no YAML: ${(cause as Error).message}`, { cause });
  }
}

function describe(event: ClientEvent, output: Output): void {
  const line = sentence(event);
  if (line !== undefined) output.print(line);
}

/** Why a coordinator has no plan for this client now. */
const waits: Readonly<Record<string, string>> = {
  "no-run": "the coordinator has no run for this base model; compare `fedlora model inspect` with the run's model.hash",
  "round-full": "this round has all the clients it wants",
  "between-rounds": "the next round has not begun",
  draining: "the coordinator is about to stop",
};

/** One line per event that a person would want to see. */
function sentence(event: ClientEvent): string | undefined {
  switch (event.type) {
    case "enrolled":
      return `enrolled as ${event.clientId}`;
    case "waiting":
      return `waiting: ${waits[event.reason] ?? event.reason}`;
    case "plan":
      return `round ${event.plan.round}: ${event.plan.kind} with ${event.plan.method.name}`;
    case "declined":
      return `round ${event.plan.round}: declined (${event.code}): ${event.reason}`;
    case "warning":
      return `round ${event.round}: warning: ${event.message}`;
    case "downloaded":
      return `  downloaded ${formatBytes(event.bytes)}, ${formatBytes(event.cachedBytes)} from the cache`;
    case "progress":
      return event.step % 5 === 0 || event.step === event.totalSteps
        ? `  ${event.stage} ${event.step}/${event.totalSteps}  loss ${event.loss.toFixed(4)}  ${event.tokensPerSecond.toFixed(0)} tokens/s`
        : undefined;
    case "evaluated":
      return `  evaluated: loss ${(event.counts.lossSum / Math.max(1, event.counts.count)).toFixed(4)} over ${event.counts.count}`;
    case "uploading":
      return event.sentBytes === event.totalBytes ? `  uploaded ${formatBytes(event.totalBytes)}` : undefined;
    case "accepted":
      return `  accepted, receipt ${event.receipt.sequence}`;
    case "refused":
      return `  refused (${event.code}): ${event.message}`;
    case "abandoned":
      return `round ${event.round}: abandoned: ${event.reason}`;
    case "retrying":
      return `  ${event.message}; trying again in ${(event.delayMs / 1000).toFixed(1)} s`;
    case "ended":
      return `run ${event.runId}: ${event.state}`;
  }
}
