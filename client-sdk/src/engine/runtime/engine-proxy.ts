import { FedLoraError } from "@fedlora/core";
import type { ErrorCode, StateDict } from "@fedlora/core";
import type { ArtifactRef } from "../artifact.js";
import type { ApplyRequest, EngineName, HostTensor, SlotSpec, StepRequest, TrainingEngine } from "../engine.js";
import { fromWireError } from "./protocol.js";
import type { EngineMethod, EnginePort, FromEngine, ToEngine } from "./protocol.js";

/** A started engine beside this process. */
export interface EngineConnection {
  readonly name: EngineName;
  readonly fingerprint: string;
  readonly port: EnginePort;
  /** Resolves once, when the other side is gone, with what is known of the reason. */
  readonly gone: Promise<string>;
  /** Whether this connection keeps the application's process alive; it does while calls wait. */
  hold(isBusy: boolean): void;
  /** Lets the other side end by itself. */
  release(): void;
  /** Ends it at once, even in the middle of a step. */
  kill(): void;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: FedLoraError) => void;
}

/**
 * A TrainingEngine whose work happens on the other side of a connection. When that side dies, waiting calls fail with
 * `engine-failed`, and so does every use of a slot that died with it; the next `createSlot` starts a new one.
 */
export class EngineProxy implements TrainingEngine {
  readonly name: EngineName;
  readonly fingerprint: string;
  readonly #connect: () => Promise<EngineConnection>;
  readonly #pending = new Map<number, Pending>();
  readonly #knownArtifacts = new Set<string>();
  #connection: EngineConnection | undefined;
  #reconnecting: Promise<EngineConnection> | undefined;
  #generation = 0;
  #lastCall = 0;
  #isClosed = false;
  #deathReason = "";

  private constructor(connection: EngineConnection, connect: () => Promise<EngineConnection>) {
    this.name = connection.name;
    this.fingerprint = connection.fingerprint;
    this.#connect = connect;
    this.#attach(connection);
  }

  static async open(connect: () => Promise<EngineConnection>): Promise<EngineProxy> {
    return new EngineProxy(await connect(), connect);
  }

  async createSlot(spec: SlotSpec): Promise<string> {
    const connection = await this.#revive();
    const generation = this.#generation;
    const slot = (await this.#call(connection, "createSlot", [spec])) as string;
    return `${generation}/${slot}`;
  }

  readSlot(slot: string): Promise<StateDict> {
    return this.#onSlot("readSlot", slot, []) as Promise<StateDict>;
  }

  async writeSlot(slot: string, tensors: StateDict): Promise<void> {
    await this.#onSlot("writeSlot", slot, [tensors]);
  }

  readOptimizer(slot: string): Promise<StateDict> {
    return this.#onSlot("readOptimizer", slot, []) as Promise<StateDict>;
  }

  async writeOptimizer(slot: string, state: StateDict): Promise<void> {
    await this.#onSlot("writeOptimizer", slot, [state]);
  }

  /** A slot that died with its process counts as released. */
  async releaseSlot(slot: string): Promise<void> {
    if (this.#isLive(slot)) await this.#onSlot("releaseSlot", slot, []);
  }

  accumulate(request: StepRequest, signal?: AbortSignal): Promise<{ readonly loss: number; readonly stepMs: number }> {
    return this.#onRequest("accumulate", request, signal) as Promise<{ loss: number; stepMs: number }>;
  }

  takeGradients(slot: string): Promise<StateDict> {
    return this.#onSlot("takeGradients", slot, []) as Promise<StateDict>;
  }

  apply(request: ApplyRequest): Promise<{ readonly gradNorm: number }> {
    return this.#onRequest("apply", request, undefined) as Promise<{ gradNorm: number }>;
  }

  infer(
    request: StepRequest & { readonly outputs: readonly string[] },
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, HostTensor>>> {
    return this.#onRequest("infer", request, signal) as Promise<Readonly<Record<string, HostTensor>>>;
  }

  async memory(): Promise<{ readonly rssBytes: number; readonly peakRssBytes: number }> {
    const connection = await this.#revive();
    return (await this.#call(connection, "memory", [])) as { rssBytes: number; peakRssBytes: number };
  }

  /** Waits for the calls already made; with `hard` they fail with `cancelled` at once. */
  async close(options: { readonly hard?: boolean } = {}): Promise<void> {
    if (this.#isClosed && options.hard !== true) return;
    this.#isClosed = true;
    const connection = this.#connection;
    if (connection === undefined) return;
    if (options.hard === true) {
      this.#failPending("cancelled", "the engine was closed");
      connection.kill();
    } else {
      await this.#call(connection, "close", []).catch(() => undefined);
      connection.release();
    }
    await connection.gone;
  }

  #attach(connection: EngineConnection): void {
    this.#connection = connection;
    this.#generation += 1;
    this.#knownArtifacts.clear();
    connection.port.onMessage((raw) => {
      const message = raw as FromEngine;
      if (message.type !== "result" && message.type !== "error") return;
      const pending = this.#settle(message.id);
      if (message.type === "result") pending?.resolve(message.value);
      else pending?.reject(fromWireError(message.error));
    });
    connection.hold(false);
    void connection.gone.then((reason) => {
      if (this.#connection !== connection) return;
      this.#connection = undefined;
      this.#deathReason = reason;
      this.#failPending("engine-failed", `the engine stopped: ${reason}`);
    });
  }

  async #revive(): Promise<EngineConnection> {
    if (this.#isClosed) throw new FedLoraError("engine-failed", "the engine is closed");
    if (this.#connection !== undefined) return this.#connection;
    // Several callers may wait for the same start.
    this.#reconnecting ??= this.#reconnect().finally(() => (this.#reconnecting = undefined));
    return this.#reconnecting;
  }

  async #reconnect(): Promise<EngineConnection> {
    const connection = await this.#connect();
    if (this.#isClosed) {
      connection.kill();
      throw new FedLoraError("engine-failed", "the engine is closed");
    }
    this.#attach(connection);
    return connection;
  }

  async #onSlot(method: EngineMethod, slot: string, args: readonly unknown[]): Promise<unknown> {
    return this.#call(this.#connectionOf(slot), method, [innerSlot(slot), ...args]);
  }

  async #onRequest(
    method: EngineMethod,
    request: ApplyRequest | StepRequest,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const connection = this.#connectionOf(request.slot);
    const sent = { ...request, slot: innerSlot(request.slot) };
    if (!("artifact" in request)) return this.#call(connection, method, [sent]);
    const artifact = this.#introduce(connection, request.artifact);
    return this.#call(connection, method, [{ ...sent, artifact }], signal);
  }

  /** Sends a manifest the first time it is used; returns its id. */
  #introduce({ port }: EngineConnection, artifact: ArtifactRef): string {
    const id = `${artifact.folder} ${artifact.manifest.graphFile} ${artifact.manifest.key}`;
    if (!this.#knownArtifacts.has(id)) {
      port.post({ type: "artifact", id, artifact } satisfies ToEngine);
      this.#knownArtifacts.add(id);
    }
    return id;
  }

  #call(
    connection: EngineConnection,
    method: EngineMethod,
    args: readonly unknown[],
    signal?: AbortSignal,
  ): Promise<unknown> {
    if (signal?.aborted === true) return Promise.reject(new FedLoraError("cancelled", `${method} was cancelled`));
    const id = ++this.#lastCall;
    const cancel = (): void => connection.port.post({ type: "cancel", id } satisfies ToEngine);
    signal?.addEventListener("abort", cancel, { once: true });
    const result = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      connection.hold(true);
      connection.port.post({ type: "call", id, method, args } satisfies ToEngine);
    });
    return result.finally(() => {
      // Settled already, unless the arguments could not be posted.
      this.#settle(id);
      signal?.removeEventListener("abort", cancel);
    });
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    // A closed one is held until its process is gone: whoever closes it waits for that, with nothing else to wait for.
    if (this.#pending.size === 0 && !this.#isClosed) this.#connection?.hold(false);
    return pending;
  }

  #failPending(code: ErrorCode, message: string): void {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of waiting) reject(new FedLoraError(code, message));
  }

  #isLive(slot: string): boolean {
    return this.#connection !== undefined && slot.startsWith(`${this.#generation}/`);
  }

  #connectionOf(slot: string): EngineConnection {
    if (this.#isClosed) throw new FedLoraError("engine-failed", "the engine is closed");
    if (this.#connection === undefined || !this.#isLive(slot)) {
      throw new FedLoraError("engine-failed", `slot "${slot}" was lost when the engine stopped: ${this.#deathReason}`);
    }
    return this.#connection;
  }
}

function innerSlot(slot: string): string {
  return slot.slice(slot.indexOf("/") + 1);
}
