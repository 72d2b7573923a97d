import { FedLoraError } from "@fedlora/core";
import type { Identity } from "../identity.js";
import { Backoff, withRetry, type RetryDependencies } from "../transport/retry.js";
import type { ClientCapabilityReport, Transport } from "../transport/transport.js";

export interface ConnectionParts {
  readonly transport: Transport;
  readonly identity: Identity;
  readonly name: string;
  readonly baseModelHashes: readonly string[];
  readonly capability: () => ClientCapabilityReport;
  readonly retry: RetryDependencies;
  /** Compares the coordinator's key with the one pinned, or pins it; throws `coordinator-untrusted`. */
  readonly trust: (coordinatorKey: Uint8Array) => Promise<void>;
  readonly onEnrolled: (clientId: string) => void;
  /** Ends everything under way. */
  readonly signal: AbortSignal;
}

export interface Enrolment {
  readonly clientId: string;
  readonly coordinatorKey: Uint8Array;
  readonly pollWaitMs: number;
}

/** The transport with patience: retries what may pass, and enrols again where the coordinator has forgotten the session. */
export class Connection {
  readonly transport: Transport;
  readonly #parts: ConnectionParts;
  #enrolment: Enrolment | undefined;
  #enrolling: Promise<Enrolment> | undefined;

  constructor(parts: ConnectionParts) {
    this.transport = parts.transport;
    this.#parts = parts;
  }

  /** Throws `unauthenticated` before the first enrolment. */
  get enrolment(): Enrolment {
    if (this.#enrolment === undefined) throw new FedLoraError("unauthenticated", "this client has not enrolled yet");
    return this.#enrolment;
  }

  backoff(): Backoff {
    return new Backoff(this.#parts.retry);
  }

  /** Enrols, waiting for the coordinator as long as it takes. Calls at the same time share one enrolment. */
  async enrol(signal: AbortSignal): Promise<Enrolment> {
    signal.throwIfAborted();
    this.#enrolling ??= withRetry(() => this.#enrolOnce(), this.#parts.retry, this.#parts.signal).finally(() => {
      this.#enrolling = undefined;
    });
    return raceAbort(this.#enrolling, signal);
  }

  /** One call of the protocol, repeated while its failures may pass. Every call of the protocol may be repeated. */
  async call<T>(operation: (transport: Transport) => Promise<T>, signal: AbortSignal): Promise<T> {
    const backoff = this.backoff();
    for (;;) {
      try {
        signal.throwIfAborted();
        return await operation(this.transport);
      } catch (error) {
        await this.recover(error, backoff, signal);
      }
    }
  }

  /** Waits until the operation that failed with this error is worth another attempt, or throws the error. */
  async recover(error: unknown, backoff: Backoff, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (error instanceof FedLoraError && error.code === "unauthenticated") {
      // Under the back-off too: a coordinator that never accepts its own session must not be asked in a tight loop.
      await backoff.wait(new FedLoraError("unavailable", error.message, { cause: error }), signal);
      await this.enrol(signal);
      return;
    }
    await backoff.wait(error, signal);
  }

  async #enrolOnce(): Promise<Enrolment> {
    const { transport, identity, name, baseModelHashes, capability, trust, onEnrolled, signal } = this.#parts;
    const answer = await transport.enrol(
      { name, publicKey: identity.publicKey, sign: (m) => identity.sign(m), baseModelHashes, capability: capability() },
      signal,
    );
    await trust(answer.coordinatorKey);
    this.#enrolment = answer;
    onEnrolled(answer.clientId);
    return answer;
  }
}

/** The promise, or the signal's reason if that comes first; the work behind the promise goes on for its other waiters. */
function raceAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
