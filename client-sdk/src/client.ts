import { FedLoraError } from "@fedlora/core";
import type { StepTimes } from "@fedlora/proto";
import { findBaseDeltas } from "./client/base-chain.js";
import { CapabilityMeter } from "./client/capability-meter.js";
import { compileOptions, type CompiledOptions } from "./client/compile-options.js";
import { EventQueue } from "./client/event-queue.js";
import { openLocalModel, type LocalModel } from "./client/local-model.js";
import type { ClientEvent, FederatedClientOptions } from "./client/options.js";
import { StateFolder } from "./client/state-folder.js";
import { takePart } from "./client/take-part.js";
import type { AdaptedModel } from "./inference/adapted-model.js";
import type { LedgerEntry } from "./privacy/ledger.js";
import { readPrivacyLedger } from "./privacy/ledger-file.js";
import { createGrpcTransport } from "./transport/grpc-transport.js";
import type { Transport } from "./transport/transport.js";

export type EndedEvent = Extract<ClientEvent, { type: "ended" }>;

interface Resources {
  readonly state: StateFolder;
  readonly model: LocalModel;
  readonly transport: Transport;
}

/**
 * Takes part in federated training where the data is: enrols with a coordinator, trains the plans that the owner's policy
 * allows, and delivers the updates. Everything that must survive a crash, a restart or a lost network is in the state
 * folder; start the client again and it goes on.
 *
 *     const client = new FederatedClient({ coordinator, baseModel, stateFolder, data });
 *     for await (const event of client.run(signal)) console.log(event.type);
 *     const model = await client.model();
 *     await client.close();
 */
export class FederatedClient {
  readonly #options: CompiledOptions;
  readonly #closing = new AbortController();
  #resources: Promise<Resources> | undefined;
  #running: Promise<void> | undefined;

  /** Starts nothing yet. Throws `config-invalid`. */
  constructor(options: FederatedClientOptions) {
    this.#options = compileOptions(options);
  }

  /**
   * Works until the run ends or the signal aborts, and yields what happens, in order; breaking out of the loop stops the
   * client too. Stopping is never an error and loses nothing: run again to go on. Progress that nobody reads in time is
   * superseded by later progress.
   *
   * Throws what no retry can mend: `coordinator-untrusted`, `protocol-version`, `insecure-refused`, `config-invalid` (the
   * state folder is in use), `model-missing`, `model-unsupported`, `engine-unavailable`, `run-not-found`, `model-hash-mismatch` (the run it names).
   */
  async *run(signal?: AbortSignal): AsyncGenerator<ClientEvent, void, undefined> {
    if (this.#running !== undefined) throw new FedLoraError("config-invalid", "this client runs already");
    const stop = new AbortController();
    const signals = [stop.signal, this.#closing.signal, ...(signal === undefined ? [] : [signal])];
    const any = AbortSignal.any(signals);
    const events = new EventQueue();
    this.#running = this.#work(events, any).then(
      () => events.end(),
      (error: unknown) => events.end(any.aborted ? undefined : FedLoraError.from(error)),
    );
    try {
      yield* events.read();
    } finally {
      stop.abort();
      await this.#running;
      this.#running = undefined;
    }
  }

  /** As `run`, for callers who want the end only. Throws `cancelled` when the signal stops it before. */
  async runToEnd(signal?: AbortSignal, onEvent?: (event: ClientEvent) => void): Promise<EndedEvent> {
    let ended: EndedEvent | undefined;
    for await (const event of this.run(signal)) {
      onEvent?.(event);
      if (event.type === "ended") ended = event;
    }
    if (ended === undefined) throw new FedLoraError("cancelled", "the client was stopped before the run ended");
    return ended;
  }

  /**
   * The base model with an adapter, ready to use: the global one as last received (after the run its result), or the
   * personal one, which has this client's own trained values where it has any. Where the run changes the base weights, they
   * are those that the adapter counts on. Throws `export-refused` before the first round, and where changes to the base
   * weights are no longer on this machine. It works until the client is closed.
   */
  async model(adapter: "global" | "personal" = "global"): Promise<AdaptedModel> {
    const { state, model } = await this.#open();
    const stored = await state.adapters.load();
    if (stored === undefined) {
      throw new FedLoraError("export-refused", "this client has not received an adapter yet: run it first");
    }
    const { runId, instructions, tensors, baseChain } = stored;
    const baseDeltas = await findBaseDeltas(baseChain, model.trainer, async (blob) => {
      const path = await state.cache.file(blob);
      if (path !== undefined) return path;
      const message = `base delta ${blob.id}, which the adapter counts on, is no longer on this machine: run the client`;
      throw new FedLoraError("export-refused", message);
    });
    const own = adapter === "personal" ? (await state.runs.trained(runId)).tensors : [];
    return model.adapt(instructions, new Map([...tensors, ...own]), baseDeltas);
  }

  /**
   * What this client has released about its data sets so far, over all runs and coordinators, oldest first; `privacySpent`
   * turns it into epsilon. Throws `file-invalid` for a ledger that was damaged or changed.
   */
  privacyLedger(): Promise<readonly LedgerEntry[]> {
    return readPrivacyLedger(this.#options.stateFolder);
  }

  /** Stops what runs and gives everything back: engine, connection, state folder. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    const resources = await this.#resources?.catch(() => undefined);
    if (resources === undefined) return;
    const { model, transport, state } = resources;
    await Promise.allSettled([model.close(), transport.close()]);
    await state.close();
  }

  async #work(events: EventQueue, signal: AbortSignal): Promise<void> {
    const { source, name, policy, logger, clock, random, reportIntervalMs, retry, secrets } = this.#options;
    const { state, model, transport } = await this.#open();
    signal.throwIfAborted();
    const parts = {
      name,
      coordinator: source.coordinator,
      transport,
      state,
      baseModelHash: model.baseModelHash,
      trainer: model.trainer,
      data: source.data,
      capability: new CapabilityMeter(model.engine, source, await this.#probe(model, signal)),
      policy,
      runId: source.runId,
      reportIntervalMs,
      retry: { clock, random, policy: retry },
      secrets,
      clock,
      logger,
      emit: (event: ClientEvent) => events.push(event),
      hasRoom: (stop: AbortSignal) => events.hasRoom(stop),
    };
    await takePart(parts, signal);
  }

  /** What a probe found; a client that cannot say how fast it is takes part all the same. */
  async #probe({ trainer }: LocalModel, signal: AbortSignal): Promise<StepTimes | undefined> {
    const { source, logger } = this.#options;
    if (source.probe === false) return undefined;
    try {
      const times = await trainer.probe?.(signal);
      return times && { ...times, runId: undefined };
    } catch (error) {
      signal.throwIfAborted();
      logger.warn({ err: error }, "the time of a training step could not be measured");
      return undefined;
    }
  }

  #open(): Promise<Resources> {
    this.#resources ??= this.#acquire().catch((error: unknown) => {
      this.#resources = undefined;
      throw error;
    });
    return this.#resources;
  }

  async #acquire(): Promise<Resources> {
    const { source, stateFolder, cacheBytes, clock, logger } = this.#options;
    // First, since a wrong address should not wait for a model to load.
    const transport =
      source.transport ?? createGrpcTransport(source.coordinator, { insecure: source.insecure ?? false });
    let state: StateFolder | undefined;
    try {
      state = await StateFolder.open(stateFolder, cacheBytes, clock, logger);
      const model = await openLocalModel(this.#options);
      return { state, model, transport };
    } catch (error) {
      // The application's own transport stays open, for the next attempt.
      await Promise.allSettled([state?.close(), transport === source.transport ? undefined : transport.close()]);
      throw error;
    }
  }
}
