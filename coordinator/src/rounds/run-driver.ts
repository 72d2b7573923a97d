import type { MethodRegistry } from "@fedlora/aggregators";
import { FedLoraError } from "@fedlora/core";
import type { ClientId, Clock, Logger, ModelManifest, RunId } from "@fedlora/core";

import type { AggregationRunner } from "../aggregate/aggregation.js";
import type { BlobStore, SecretStore } from "../storage/storage.js";
import { runAggregation } from "./aggregation-task.js";
import type { BlobKeeper } from "./blob-keeper.js";
import { ByteMeter } from "./byte-meter.js";
import { runCohortSelection } from "./cohort-task.js";
import type { CoordinatorTuning } from "./coordinator-options.js";
import { decideFailure } from "./decide-round.js";
import { runEvaluation, startEvaluation } from "./evaluation-task.js";
import type { JournalWriter } from "./journal-writer.js";
import { JournaledState } from "./journaled-state.js";
import type { Committed } from "./journaled-state.js";
import { PlanFactory } from "./plan-factory.js";
import type { Presence } from "./presence.js";
import type { Accounting } from "../privacy/accounting.js";
import { RunAccount } from "../privacy/run-account.js";
import { createRunContext } from "./run-context.js";
import type { RunContext } from "./run-context.js";
import type { RunEvent } from "./run-events.js";
import { commandKey, pendingCommand, reduce } from "./run-reducer.js";
import type { RunCommand } from "./run-reducer.js";
import type { RunMachineState } from "./run-state.js";
import { runTraining } from "./training-task.js";
import { Wakeup } from "./wakeup.js";

/** What all runs share. */
export interface RunParts {
  readonly blobs: BlobStore;
  readonly secrets: SecretStore;
  readonly keeper: BlobKeeper;
  readonly aggregation: AggregationRunner;
  readonly accounting: Accounting;
  readonly methods: MethodRegistry;
  readonly presence: Presence;
  readonly writer: JournalWriter;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: (length: number) => Uint8Array;
  /** For what privacy rests on. */
  readonly secretBytes: (length: number) => Uint8Array;
  readonly tuning: CoordinatorTuning;
  /** Whether a client works on a plan of any run, or one is being made for it. */
  readonly isBusy: (clientId: ClientId) => boolean;
  readonly isDraining: () => boolean;
  /** After events of a run are durable, in order. */
  readonly onDurable: (driver: RunDriver, committed: Committed<RunMachineState, RunEvent>) => void;
}

/**
 * One run at work: makes each event durable before it acts on it, keeps the one task going that the state asks for, owns its
 * timers. After a restart it picks up whatever the state says.
 */
export class RunDriver {
  readonly parts: RunParts;
  readonly context: RunContext;
  readonly plans: PlanFactory;
  /** Undefined in a run without privacy. */
  readonly account: RunAccount | undefined;
  readonly meter = new ByteMeter();
  /** Told when the run's state changed. */
  readonly changes: Wakeup;
  readonly logger: Logger;
  readonly #machine: JournaledState<RunMachineState, RunEvent>;
  readonly #startedMs: number;
  /** The task that an earlier process had begun: its deadline was set by another clock. Empty for a new run. */
  readonly #restoredTask: string;
  #task: { readonly key: string; readonly controller: AbortController; readonly done: Promise<void> } | undefined;
  #isClosed = false;
  #note = "";

  constructor(parts: RunParts, manifest: ModelManifest, state: RunMachineState, isRestored: boolean) {
    this.parts = parts;
    this.context = createRunContext(state.spec, manifest, parts.methods);
    this.plans = new PlanFactory(parts.blobs, parts.keeper, this.context, parts.randomBytes);
    this.account = createAccount(state);
    this.changes = new Wakeup(parts.clock);
    this.logger = parts.logger.child({ runId: state.runId });
    this.#startedMs = parts.clock.monotonicMs();
    this.#restoredTask = isRestored ? commandKey(pendingCommand(state)) : "";
    this.#machine = new JournaledState(
      parts.writer,
      state,
      (before, event) => reduce(before, event).state,
      (committed) => this.#onDurable(committed),
    );
  }

  get runId(): RunId {
    return this.state.runId;
  }

  /** What is durable: what may be told. */
  get state(): RunMachineState {
    return this.#machine.durable;
  }

  /** With what was decided but is not durable yet. */
  get decided(): RunMachineState {
    return this.#machine.decided;
  }

  /** Why the run waits, where it is not the state that says so (a full disk); empty otherwise. */
  get note(): string {
    return this.#note;
  }

  set note(note: string) {
    this.#note = note;
  }

  /** Decides on the latest state and makes it durable. */
  commit(decide: (state: RunMachineState) => readonly RunEvent[]): Promise<Committed<RunMachineState, RunEvent>> {
    return this.#machine.commit(decide);
  }

  start(): void {
    this.#reconcile();
  }

  /** Stops the task; the state stays as it is for the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#task?.controller.abort(new FedLoraError("cancelled", "the coordinator is closing"));
    await this.#task?.done;
  }

  /**
   * Milliseconds until the present phase's deadline, by the monotonic clock. A wall clock that was set back does not lengthen it
   * beyond `fullMs`, and after a restart it leaves at least the grace period.
   */
  untilDeadline(fullMs: number): number {
    const { deadlineAtMs, phaseSinceMs } = this.state;
    const left = Math.min(fullMs, (deadlineAtMs ?? phaseSinceMs + fullMs) - this.parts.clock.now());
    return Math.max(left, this.graceLeftMs(fullMs));
  }

  /** What is left of the time for clients to come back after a restart; below 0, or -Infinity for what this process began. */
  graceLeftMs(atMostMs: number = Number.POSITIVE_INFINITY): number {
    if (commandKey(pendingCommand(this.state)) !== this.#restoredTask) return Number.NEGATIVE_INFINITY;
    const { clock, tuning } = this.parts;
    return this.#startedMs + Math.min(tuning.graceMs, atMostMs) - clock.monotonicMs();
  }

  #onDurable(committed: Committed<RunMachineState, RunEvent>): void {
    this.meter.retain(new Set(Object.keys(committed.state.plans)));
    if (committed.state.status !== "running") this.plans.reset();
    this.parts.onDurable(this, committed);
    this.changes.notify();
    this.#reconcile();
  }

  /** Starts what the state asks for and stops what it no longer does. */
  #reconcile(): void {
    if (this.#isClosed) return;
    const command = pendingCommand(this.state);
    const key = commandKey(command);
    if (this.#task?.key === key) return;
    this.#task?.controller.abort(new FedLoraError("cancelled", "the run moved on"));
    this.#task = undefined;
    this.#note = "";
    if (command === undefined) return;
    const controller = new AbortController();
    this.#task = { key, controller, done: this.#perform(command, controller.signal) };
  }

  /** A task ends by an event that moves the run on; when it throws, the run fails with what it threw. */
  async #perform(command: RunCommand, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await tasks[command.kind](this, command, signal);
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = FedLoraError.from(thrown);
        this.logger.error({ err: error, task: command.kind, round: command.round }, "a step of the run failed");
        if (error.code === "storage-fenced") return;
        if (!isPassing(error) && (await this.#fail(error))) return;
        this.#note = `${error.message}; trying again`;
        const isOver = await this.parts.clock.sleep(this.parts.tuning.storageRetryMs, signal).then(
          () => false,
          () => true,
        );
        if (isOver) return;
      }
    }
  }

  /** False when the failure could not be journaled: a run that is not going on must not count as running for good. */
  async #fail(error: FedLoraError): Promise<boolean> {
    try {
      await this.commit((state) => decideFailure(state, error.code, error.message, this.parts.clock.now()));
      return true;
    } catch (thrown) {
      this.logger.error({ err: thrown }, "the run's failure could not be journaled");
      return false;
    }
  }
}

function createAccount({ spec, privacy }: RunMachineState): RunAccount | undefined {
  if (spec.privacy.mode === "none") return undefined;
  if (privacy === null) throw new FedLoraError("privacy-invalid", "the run's journal holds no noise for its privacy");
  return new RunAccount(spec, spec.privacy, privacy.noiseMultiplier);
}

/** What may pass by itself is waited for: a full disk, another append that failed. */
function isPassing({ code }: FedLoraError): boolean {
  return code === "storage-full" || code === "journal-sequence";
}

const tasks: Readonly<
  Record<RunCommand["kind"], (driver: RunDriver, command: RunCommand, signal: AbortSignal) => Promise<void>>
> = {
  "select-cohort": runCohortSelection,
  "await-updates": runTraining,
  aggregate: runAggregation,
  "start-evaluation": startEvaluation,
  "await-evaluations": runEvaluation,
};
