import { join } from "node:path";
import { AdminClient } from "@fedlora/client-sdk";
import { FedLoraError, type RunId, type RunSpec } from "@fedlora/core";
import type { RunDetail } from "@fedlora/proto";
import type { ProcessGroup, StartedProcess } from "./processes.js";
import type { DemoProgress } from "./progress.js";
import { showEpsilon } from "./private-report.js";
import { writeSeededIdentity } from "./seeded-identity.js";

export interface FederationOptions {
  /** The committed launcher of the `fedlora` command. */
  readonly launcher: string;
  readonly workFolder: string;
  readonly manifestFile: string;
  readonly modelFolder: string;
  /** Converted weights and compiled graphs, shared by the processes: they hold nothing of anybody's mail. */
  readonly cacheFolder: string;
  readonly members: readonly string[];
  readonly spec: RunSpec;
  /** Same name, same run: its id and the members' keys come from it, and with them every random stream. */
  readonly runName: string;
  readonly processes: ProcessGroup;
  readonly progress: DemoProgress;
  readonly signal: AbortSignal;
}

export interface FederationResult {
  readonly admin: AdminClient;
  readonly runId: RunId;
  readonly detail: RunDetail;
}

/** A coordinator and its members as separate processes on loopback, from start to the run's end. */
export async function runFederation(options: FederationOptions): Promise<FederationResult> {
  const { processes, progress, spec } = options;
  const coordinator = await startCoordinator(options);
  const admin = new AdminClient({ coordinator: coordinator.address });
  const run = await admin.createRun(spec, options.runName);
  const runId = run.summary.runId;
  progress.say(`Coordinator on ${coordinator.address}, run ${runId}; starting ${options.members.length} members`);

  const failures = options.members.map((name) => startMember(options, name, coordinator.address));
  const watching = followRounds(admin, runId, options);
  const guard = processes.guard(coordinator.process);
  await Promise.race([watching, guard, ...failures, aborted(options.signal)]);
  progress.end();
  return { admin, runId, detail: await admin.getRun(runId) };
}

async function startCoordinator(options: FederationOptions): Promise<{ process: StartedProcess; address: string }> {
  const log = join(options.workFolder, "coordinator.log");
  const process = options.processes.start(
    "coordinator",
    options.launcher,
    [
      "serve",
      "--listen=127.0.0.1:0",
      "--http=127.0.0.1:0",
      `--storage=${join(options.workFolder, "coordinator")}`,
      `--model=${options.manifestFile}`,
    ],
    log,
  );
  for await (const line of process.lines) {
    if (typeof line["listening"] === "string") return { process, address: line["listening"] };
  }
  await process.exited;
  throw process.failure("did not start");
}

/** Starts one member and shows its progress; rejects when the process fails, never resolves otherwise. */
async function startMember(options: FederationOptions, name: string, address: string): Promise<never> {
  const folder = join(options.workFolder, name);
  await writeSeededIdentity(join(folder, "state"), `${options.runName}/${name}`);
  const log = join(folder, "client.log");
  const process = options.processes.start(
    name,
    options.launcher,
    [
      "client",
      "--json",
      `--coordinator=${address}`,
      `--model=${options.modelFolder}`,
      `--data=${join(folder, "train.jsonl")}`,
      `--evaluation=${join(folder, "held-out.jsonl")}`,
      `--state=${join(folder, "state")}`,
      `--cache=${options.cacheFolder}`,
      "--engine=onnxruntime-cpu",
      "--threads=1",
    ],
    log,
  );
  options.progress.update(name, 0, "starting");
  for await (const event of process.lines) showEvent(options.progress, name, event);
  const code = await process.exited;
  if (code === 0) return new Promise<never>(() => undefined);
  throw process.failure("ended early");
}

function showEvent(progress: DemoProgress, name: string, event: Record<string, unknown>): void {
  const text = (key: string): string => {
    const value = event[key];
    return typeof value === "string" || typeof value === "number" ? String(value) : "";
  };
  const number = (key: string): number => Number(event[key] ?? Number.NaN);
  switch (event["type"]) {
    case "progress": {
      const loss = number("loss");
      const numbers = Number.isFinite(loss)
        ? `loss ${loss.toFixed(3)}, ${number("tokensPerSecond").toFixed(0)} tokens/s`
        : "";
      const what = `round ${text("round")}: ${text("stage")} ${text("step")}/${text("totalSteps")} ${numbers}`;
      progress.update(name, number("step") / Math.max(1, number("totalSteps")), what);
      break;
    }
    case "uploading":
      progress.update(name, 1, `round ${text("round")}: uploading`);
      break;
    case "accepted":
      progress.update(name, 1, "delivered");
      break;
    case "waiting":
      progress.update(name, 0, `waiting: ${text("reason")}`);
      break;
    case "retrying":
      progress.update(name, 0, `trying again: ${text("message")}`);
      break;
    case "ended":
      progress.update(name, 1, "done");
      break;
  }
}

/** Follows the run's events and tells each round: its evaluation or, in a private run, what it cost. */
async function followRounds(admin: AdminClient, runId: RunId, options: FederationOptions): Promise<void> {
  const isPrivate = options.spec.privacy.mode !== "none";
  let told = 0;
  for await (const event of admin.watchRun(runId, 0, options.signal)) {
    if (!/round|run/.test(event.kind)) continue;
    if (isPrivate) told = await tellCosts(admin, runId, told, options);
    const { rounds, summary } = await admin.getRun(runId);
    for (const round of rounds) {
      if (round.round <= told || round.evaluation === undefined) continue;
      told = round.round;
      const { accuracy, f1, loss } = round.evaluation;
      options.progress.say(
        `Round ${round.round}/${options.spec.rounds}  accuracy ${accuracy?.toFixed(4)}  F1 ${f1?.toFixed(4)}  loss ${loss.toFixed(4)}`,
      );
    }
    if (summary.state === "completed") return;
    if (summary.state !== "running")
      throw new FedLoraError("round-failed", `the run ${summary.state}: ${summary.reason}`);
  }
}

/**
 * Tells what the committed rounds after `told` have cost: a private run is not evaluated on the way, since that would be
 * one more release.
 *
 * @returns the last round that was told
 */
async function tellCosts(admin: AdminClient, runId: RunId, told: number, options: FederationOptions): Promise<number> {
  const report = await admin.privacy(runId);
  if (report.mode === "none") return told;
  const news = report.rounds.filter(({ round }) => round > told);
  for (const { round, epsilon } of news)
    options.progress.say(`Round ${round}/${options.spec.rounds}  epsilon ${showEpsilon(epsilon)} so far`);
  return news.at(-1)?.round ?? told;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}
