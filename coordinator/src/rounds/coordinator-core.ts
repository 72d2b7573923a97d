import { builtinMethods } from "@fedlora/aggregators";
import type { MethodRegistry } from "@fedlora/aggregators";
import { FedLoraError, compileRunSpec, noopLogger, parseModelManifest, systemClock } from "@fedlora/core";
import type { BaseModelHash, BlobId, ClientId, Clock, Logger, ModelManifest, PlanId, RunId } from "@fedlora/core";
import { randomBytes } from "node:crypto";

import { inlineAccounting } from "../privacy/accounting.js";
import type { Accounting } from "../privacy/accounting.js";
import type { Storage } from "../storage/storage.js";
import { BlobKeeper } from "./blob-keeper.js";
import { defaultTuning } from "./coordinator-options.js";
import type { CoordinatorHooks, CoordinatorServiceOptions, CoordinatorTuning } from "./coordinator-options.js";
import { answerablePlanOf } from "./decide-plans.js";
import { EventFeed } from "./event-feed.js";
import { JournalWriter } from "./journal-writer.js";
import { JournaledState } from "./journaled-state.js";
import type { Committed } from "./journaled-state.js";
import { readBlob } from "./plan-factory.js";
import { Presence } from "./presence.js";
import { recoverStates, registrySnapshotName, runSnapshot, runSnapshotName } from "./recovery.js";
import type { Recovered } from "./recovery.js";
import { reduceRegistry } from "./registry-state.js";
import type { RegistryEvent, RegistrySnapshot, RegistryState } from "./registry-state.js";
import { RunDriver } from "./run-driver.js";
import type { RunParts } from "./run-driver.js";
import type { RunEvent } from "./run-events.js";
import { reportToHooks } from "./run-hooks.js";
import { reduce } from "./run-reducer.js";
import { referencedBlobs, reducerVersion } from "./run-state.js";
import type { RunMachineState } from "./run-state.js";
import type { UnavailableRun } from "./unavailable-run.js";

/** Partial uploads that nobody touched for so long are removed. */
const partialMaxAgeMs = 24 * 3_600_000;

/** What the client's and the admin's side share: the journaled states, the drivers of the runs and who is there. */
export class CoordinatorCore {
  readonly storage: Storage;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly hooks: CoordinatorHooks;
  readonly tuning: CoordinatorTuning;
  readonly methods: MethodRegistry;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly presence: Presence;
  readonly feed: EventFeed;
  readonly keeper: BlobKeeper;
  readonly registry: JournaledState<RegistryState, RegistryEvent>;
  readonly runs = new Map<RunId, RunDriver>();
  readonly unavailable = new Map<RunId, UnavailableRun>();
  readonly accounting: Accounting;
  readonly #secretBytes: (length: number) => Uint8Array;
  readonly #writer: JournalWriter;
  readonly #aggregation: CoordinatorServiceOptions["aggregation"];
  readonly #savedSequences: Map<RunId, number>;
  #appliedSequence: number;
  #checkpoint: Promise<void> | undefined;
  #isCheckpointWanted = false;
  #isDraining = false;
  #isClosed = false;

  private constructor(options: CoordinatorServiceOptions, recovered: Recovered) {
    this.storage = options.storage;
    this.clock = options.clock ?? systemClock;
    this.logger = options.logger ?? noopLogger;
    this.hooks = options.hooks ?? {};
    this.tuning = { ...defaultTuning, ...options.tuning };
    this.methods = options.methods ?? builtinMethods;
    this.randomBytes = options.randomBytes ?? randomBytes;
    this.accounting = options.accounting ?? inlineAccounting;
    this.#secretBytes = options.testSecrets ?? randomBytes;
    this.#aggregation = options.aggregation;
    this.presence = new Presence(this.clock, this.tuning.presenceMs);
    this.feed = new EventFeed(this.storage.journal);
    this.keeper = new BlobKeeper(this.storage.blobs, () => this.#referencedBlobs());
    this.#writer = new JournalWriter(this.storage.journal, (thrown) => this.#onJournalFailure(thrown));
    this.#appliedSequence = recovered.sequence;
    this.#savedSequences = new Map(recovered.savedSequences);
    this.registry = new JournaledState(this.#writer, recovered.registry, reduceRegistry, ({ events }) => {
      this.#appliedSequence = events.at(-1)?.sequence ?? this.#appliedSequence;
    });
  }

  /** Replays the journal, removes blobs that nobody needs and sets the runs going again. */
  static async open(options: CoordinatorServiceOptions): Promise<CoordinatorCore> {
    const recovered = await recoverStates(options.storage.journal, (options.clock ?? systemClock).now());
    const core = new CoordinatorCore(options, recovered);
    for (const state of recovered.runs.values()) await core.#restore(state);
    for (const runId of recovered.reopened) {
      core.logger.warn(
        { runId },
        "another version wrote the run's snapshot; its round begins again after the last commit",
      );
    }
    if (recovered.reopened.size > 0) await core.#writeSnapshots();
    const { blobs } = core.storage;
    const stored: BlobId[] = [];
    for await (const id of blobs.list()) stored.push(id);
    await core.keeper.release(stored);
    await blobs.sweepPartials(partialMaxAgeMs);
    const keys = core.states().flatMap(({ privacy }) => privacy?.noiseKey ?? []);
    await core.storage.secrets.eraseExcept(new Set(keys));
    if (options.testSecrets !== undefined) {
      core.logger.warn(
        {},
        "noise and private cohorts are drawn from a seed: NOTHING IS PRIVATE, this is for tests only",
      );
    }
    for (const driver of core.runs.values()) driver.start();
    return core;
  }

  /** Of every run, those that this build cannot work on included. */
  states(): readonly RunMachineState[] {
    return [...this.runs.values(), ...this.unavailable.values()].map(({ state }) => state);
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Throws `run-not-found`, and for a run that this build cannot work on what it lacks. */
  run(runId: RunId): RunDriver {
    const driver = this.runs.get(runId);
    if (driver !== undefined) return driver;
    const unavailable = this.unavailable.get(runId);
    if (unavailable !== undefined) throw unavailable.error;
    throw new FedLoraError("run-not-found", `there is no run "${runId}"`, { details: { runId } });
  }

  /** The run that a plan belongs to. Throws `plan-unknown`, and `unavailable` while this build cannot work on the run. */
  runOfPlan(planId: PlanId): RunDriver {
    const runId = planId.split(".")[0] as RunId;
    const driver = this.runs.get(runId);
    if (driver !== undefined) return driver;
    const error = this.unavailable.get(runId)?.error;
    if (error !== undefined) {
      throw new FedLoraError("unavailable", `run ${runId} cannot go on: ${error.message}`, { details: { planId } });
    }
    throw new FedLoraError("plan-unknown", `plan ${planId} does not exist`, { details: { planId } });
  }

  /** Throws `model-missing`. */
  async loadManifest(hash: BaseModelHash): Promise<ModelManifest> {
    const manifest = this.registry.durable.models[hash];
    if (manifest === undefined) {
      throw new FedLoraError("model-missing", `base model ${hash} is not registered; register its manifest first`, {
        details: { hash },
      });
    }
    const bytes = await readBlob(this.storage.blobs, manifest);
    return parseModelManifest(JSON.parse(Buffer.from(bytes).toString("utf8")));
  }

  /** Journals a new run and sets it going. */
  async addRun(event: Extract<RunEvent, { type: "run-created" }>, manifest: ModelManifest): Promise<RunDriver> {
    const { firstSequence, durable } = this.#writer.append([event]);
    const { state } = reduce(undefined, { ...event, sequence: firstSequence });
    const driver = new RunDriver(this.#runParts(), manifest, state, false);
    await durable;
    this.#appliedSequence = firstSequence;
    this.runs.set(event.runId, driver);
    this.feed.publish(event.runId, [{ ...event, sequence: firstSequence }]);
    this.hooks.onRunState?.(event.runId, "running");
    driver.start();
    this.presence.wake();
    return driver;
  }

  /** Whether the client works on a plan of any run, or one is being made for it. */
  isBusy(clientId: ClientId): boolean {
    if (this.presence.isReserved(clientId)) return true;
    return [...this.runs.values()].some(({ state }) => answerablePlanOf(state, clientId) !== undefined);
  }

  /** No plan is issued any more; waits for aggregations on their way, and for the journal, at most `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    this.presence.wake();
    this.presence.arrivals.notify();
    const limit = this.clock.monotonicMs() + timeoutMs;
    for (const driver of this.runs.values()) {
      while (driver.state.phase === "aggregating" && driver.state.status === "running") {
        const leftMs = limit - this.clock.monotonicMs();
        if (leftMs <= 0) break;
        await driver.changes.wait(driver.changes.version, leftMs, new AbortController().signal);
      }
    }
    await this.saveSnapshots();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isDraining = true;
    this.presence.wake();
    this.feed.close();
    for (const driver of this.runs.values()) await driver.close();
    await this.saveSnapshots();
  }

  /** Writes the snapshots that make replay before now unnecessary. What fails is logged: the journal has it all. */
  async saveSnapshots(): Promise<void> {
    this.#isCheckpointWanted = true;
    this.#checkpoint ??= this.#runCheckpoints();
    await this.#checkpoint;
  }

  async #runCheckpoints(): Promise<void> {
    while (this.#isCheckpointWanted) {
      this.#isCheckpointWanted = false;
      try {
        await this.#writeSnapshots();
        await this.storage.blobs.sweepPartials(partialMaxAgeMs);
      } catch (thrown) {
        this.logger.warn({ err: thrown }, "a snapshot could not be written; the next start replays more");
      }
    }
    this.#checkpoint = undefined;
  }

  async #writeSnapshots(): Promise<void> {
    const { journal } = this.storage;
    // Taken in one turn: every event up to this sequence is in these states.
    const sequence = this.#appliedSequence;
    const registry = this.registry.durable;
    const states = this.states();
    for (const state of states) {
      if (state.sequence <= (this.#savedSequences.get(state.runId) ?? 0)) continue;
      await journal.writeSnapshot(runSnapshotName(state.runId), runSnapshot(state));
      this.#savedSequences.set(state.runId, state.sequence);
    }
    const value: RegistrySnapshot = { registry, runs: states.map(({ runId }) => runId) };
    await journal.writeSnapshot(registrySnapshotName, { sequence, reducerVersion, value });
    await journal.trim(sequence);
  }

  /** What this build cannot work on must not keep the other runs from going on. */
  async #restore(state: RunMachineState): Promise<void> {
    const { runId } = state;
    try {
      const manifest = await this.loadManifest(state.spec.model.hash as BaseModelHash);
      compileRunSpec(state.spec, { manifest });
      this.runs.set(runId, new RunDriver(this.#runParts(), manifest, state, true));
    } catch (thrown) {
      const error = FedLoraError.from(thrown);
      this.logger.error({ err: error, runId }, "this build cannot work on the run");
      this.unavailable.set(runId, { state, error });
    }
  }

  #runParts(): RunParts {
    return {
      blobs: this.storage.blobs,
      secrets: this.storage.secrets,
      keeper: this.keeper,
      aggregation: this.#aggregation,
      accounting: this.accounting,
      methods: this.methods,
      presence: this.presence,
      writer: this.#writer,
      clock: this.clock,
      logger: this.logger,
      randomBytes: this.randomBytes,
      secretBytes: this.#secretBytes,
      tuning: this.tuning,
      isBusy: (clientId) => this.isBusy(clientId),
      isDraining: () => this.#isDraining,
      onDurable: (driver, committed) => this.#onRunDurable(driver, committed),
    };
  }

  #onRunDurable(driver: RunDriver, { before, state, events }: Committed<RunMachineState, RunEvent>): void {
    this.#appliedSequence = events.at(-1)?.sequence ?? this.#appliedSequence;
    this.feed.publish(state.runId, events);
    reportToHooks(this.hooks, state, events);
    for (const event of events) driver.logger.debug({ ...event }, event.type);
    // Whoever got a plan, or lost one, looks again; so does everybody when a run begins or ends.
    if (before.status !== state.status) this.presence.wake();
    for (const event of events) {
      const issued = "plans" in event ? event.plans : "plan" in event ? [event.plan] : [];
      for (const { clientId } of issued) this.presence.wake(clientId);
    }
    const noiseKey = before.privacy?.noiseKey ?? null;
    if (noiseKey !== null && noiseKey !== state.privacy?.noiseKey) {
      this.#inBackground(() => this.storage.secrets.erase(noiseKey));
    }
    if (before.phase !== state.phase) this.presence.arrivals.notify();
    if (state.status !== "running") this.feed.finish(state.runId);
    if (before.phase === state.phase && before.round === state.round) return;
    const kept = new Set(referencedBlobs(state));
    const garbage = [...referencedBlobs(before)].filter((id) => !kept.has(id));
    const isMilestone = before.rounds.length !== state.rounds.length || before.status !== state.status;
    this.#inBackground(async () => {
      if (isMilestone) await this.saveSnapshots();
      await this.keeper.release(garbage);
    });
  }

  #inBackground(work: () => Promise<void>): void {
    work().catch((thrown: unknown) =>
      this.logger.warn({ err: thrown }, "cleaning up failed; the next start repeats it"),
    );
  }

  #onJournalFailure(thrown: unknown): void {
    const error = FedLoraError.from(thrown);
    this.logger.error({ err: error }, "the journal refused events");
    if (error.code === "storage-fenced") this.hooks.onFatal?.(error);
  }

  #referencedBlobs(): ReadonlySet<BlobId> {
    const ids = new Set<BlobId>();
    const registries = [this.registry.durable, this.registry.decided];
    for (const { models } of registries) for (const { id } of Object.values(models)) ids.add(id);
    const decided = [...this.runs.values()].map((driver) => driver.decided);
    for (const state of [...this.states(), ...decided]) for (const id of referencedBlobs(state)) ids.add(id);
    return ids;
  }
}
