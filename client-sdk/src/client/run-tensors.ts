import {
  readSafetensors,
  writeSafetensors,
  type PlanId,
  type PlanInstructions,
  type RunId,
  type StateDict,
} from "@fedlora/core";
import { syncFolder } from "@fedlora/core/node";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { readIfPresent, replacePrivateFile } from "./durable-file.js";

/** Runs whose tensors are kept; beyond it the one that was worked on longest ago is forgotten. */
const rememberedRuns = 16;

const stagedFiles = ["trained", "optimizer", "residual"] as const;

const empty: StateDict = new Map();

/**
 * What this client trained for a run and keeps on its own disk: the latest trained values (for tensors that a method
 * keeps local, and for the personal model), the optimizer's moments, and what lossy codecs left out of the updates so far.
 * A round's values are staged with its update and
 * count from the update's acceptance on, so that a round which the coordinator never saw leaves no trace.
 */
export class RunTensors {
  readonly #runsFolder: string;
  readonly #stagingFolder: string;

  constructor(stateFolder: string) {
    this.#runsFolder = join(stateFolder, "runs");
    this.#stagingFolder = join(stateFolder, "work");
  }

  async trained(runId: RunId): Promise<{ readonly tensors: StateDict; readonly round: number }> {
    const bytes = await readIfPresent(join(this.#runsFolder, runId, "trained.safetensors"));
    if (bytes === undefined) return { tensors: empty, round: 0 };
    const { tensors, metadata } = readSafetensors(bytes);
    return { tensors, round: Number(metadata.get("round")) };
  }

  /** Of the trained values, those that the roles of a plan for `round` may start from. */
  async kept(runId: RunId, round: number, instructions: PlanInstructions): Promise<StateDict> {
    const { tensors, round: trainedIn } = await this.trained(runId);
    const names = new Set(
      instructions.roles
        .filter(({ keep }) => keep === "run" || (keep === "round" && trainedIn === round))
        .map(({ spec }) => spec.name),
    );
    return new Map([...tensors].filter(([name]) => names.has(name)));
  }

  /** Whether the client has no value of its own for a trained tensor that it keeps for the run: it is new, or lost it. */
  async lacksOwn(runId: RunId, round: number, instructions: PlanInstructions): Promise<boolean> {
    const own = instructions.roles.filter(({ trained, keep }) => trained && keep === "run");
    if (own.length === 0) return false;
    const kept = await this.kept(runId, round, instructions);
    return own.some(({ spec }) => !kept.has(spec.name));
  }

  async optimizer(runId: RunId): Promise<StateDict | undefined> {
    const bytes = await readIfPresent(join(this.#runsFolder, runId, "optimizer.safetensors"));
    return bytes === undefined ? undefined : readSafetensors(bytes).tensors;
  }

  /** What the updates up to the last accepted one did not say; empty where no codec was lossy. */
  async residual(runId: RunId): Promise<StateDict> {
    const bytes = await readIfPresent(join(this.#runsFolder, runId, "residual.safetensors"));
    return bytes === undefined ? empty : readSafetensors(bytes).tensors;
  }

  /** Puts a round's values aside, durably; `promote` makes them count. Tensors that it does not name stay as they were. */
  async stage(
    plan: { readonly planId: PlanId; readonly runId: RunId; readonly round: number },
    trained: StateDict,
    optimizer: StateDict | undefined,
    residual?: StateDict,
  ): Promise<void> {
    const before = await this.trained(plan.runId);
    const merged = new Map([...before.tensors, ...trained]);
    const metadata = { round: String(plan.round) };
    await replacePrivateFile(this.#staged(plan.planId, "trained"), writeSafetensors(merged, { metadata }));
    if (optimizer !== undefined) {
      await replacePrivateFile(this.#staged(plan.planId, "optimizer"), writeSafetensors(optimizer));
    }
    if (residual !== undefined) {
      const all = new Map([...(await this.residual(plan.runId)), ...residual]);
      await replacePrivateFile(this.#staged(plan.planId, "residual"), writeSafetensors(all));
    }
  }

  /** May be repeated after a crash in its middle. */
  async promote(planId: PlanId, runId: RunId): Promise<void> {
    const folder = join(this.#runsFolder, runId);
    await mkdir(folder, { recursive: true });
    for (const name of stagedFiles) {
      await rename(this.#staged(planId, name), join(folder, `${name}.safetensors`)).catch(ignoreMissing);
    }
    await syncFolder(folder);
    await this.#forgetOldRuns();
  }

  async #forgetOldRuns(): Promise<void> {
    const runs = await Promise.all(
      (await readdir(this.#runsFolder)).map(async (name) => {
        const folder = join(this.#runsFolder, name);
        return { folder, usedMs: (await stat(folder)).mtimeMs };
      }),
    );
    runs.sort((a, b) => b.usedMs - a.usedMs);
    for (const { folder } of runs.slice(rememberedRuns)) await rm(folder, { recursive: true, force: true });
  }

  #staged(planId: PlanId, name: (typeof stagedFiles)[number]): string {
    return join(this.#stagingFolder, `${planId}.${name}.safetensors`);
  }
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
