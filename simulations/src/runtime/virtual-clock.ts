import { FedLoraError, type Clock } from "@fedlora/core";
import { setImmediate as nextTurn } from "node:timers/promises";
import { EventHeap, type TimedEvent } from "./event-heap.js";

interface DueEvent extends TimedEvent {
  readonly wake: () => void;
  /** Real work whose virtual time this event ends; undefined: a plain sleep. */
  readonly work: Promise<unknown> | undefined;
  isCancelled: boolean;
}

/** Where virtual time begins: a fixed date, so that logs of two runs are equal. */
const epochMs = Date.UTC(2026, 0, 1);

/** Cancelled events are swept out of the heap when they are this many and the majority. */
const sweepFrom = 1024;

/** Of what keeps the event loop alive, what is work under way and will go on by itself. */
const workKinds: ReadonlySet<string> = new Set(["FSReqCallback", "FSReqPromise", "CloseReq", "Immediate"]);

/**
 * Time that passes only when nobody computes: it jumps to the next event once every promise that can settle has settled.
 * Events of one time happen one after the other, by actor, each with all its consequences before the next; so the order of
 * everything follows from virtual times and actors alone, however fast the machine is and however many workers there are.
 *
 * Real work with a virtual duration (`during`) runs while time goes on; it is waited for when its end is due.
 */
export class VirtualClock {
  readonly #heap = new EventHeap<DueEvent>();
  #elapsedMs = 0;
  #order = 0;
  #cancelled = 0;
  #held = 0;
  #onRelease: (() => void) | undefined;

  /** Milliseconds since the simulation began. */
  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  /** Events that are waited for, cancelled ones that are not swept out included. */
  get pending(): number {
    return this.#heap.size;
  }

  /** Time as one actor sees it; of two events at one time, that of the lower number comes first. */
  actor(actor: number): Clock {
    return {
      now: () => epochMs + this.#elapsedMs,
      monotonicMs: () => this.#elapsedMs,
      sleep: (ms, signal) => this.#schedule(actor, ms, undefined, signal),
    };
  }

  /**
   * Runs real work at once and gives its result `ms` of virtual time later.
   *
   * @param work is told that time, as `elapsedMs` counts
   */
  async during<T>(actor: number, ms: number, work: (dueMs: number) => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    const result = work(this.#elapsedMs + Math.max(0, ms));
    // A failure is told when its time has come, and to nobody where the client is gone by then.
    result.catch(() => undefined);
    await this.#schedule(actor, ms, result, signal);
    return result;
  }

  /** Time stands still until the work is done. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    this.#held += 1;
    try {
      return await work();
    } finally {
      this.#held -= 1;
      if (this.#held === 0) this.#onRelease?.();
    }
  }

  /** Lets time go on until `isOver`, which is asked after each event. Throws `simulation-stuck`. */
  async run(isOver: () => boolean): Promise<void> {
    await this.#settle();
    while (!isOver()) {
      const event = this.#heap.pop();
      if (event === undefined) {
        throw new FedLoraError("simulation-stuck", `nothing is due after ${this.#elapsedMs} ms of virtual time`);
      }
      if (event.isCancelled) {
        this.#cancelled -= 1;
        continue;
      }
      await event.work?.catch(() => undefined);
      this.#elapsedMs = event.atMs;
      event.wake();
      await this.#settle();
    }
  }

  #schedule(
    actor: number,
    ms: number,
    work: Promise<unknown> | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        event.isCancelled = true;
        this.#cancelled += 1;
        this.#sweep();
        reject(signal?.reason as Error);
      };
      this.#order += 1;
      const event: DueEvent = {
        atMs: this.#elapsedMs + Math.max(0, ms),
        actor,
        order: this.#order,
        work,
        isCancelled: false,
        wake: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      this.#heap.push(event);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  #sweep(): void {
    if (this.#cancelled < sweepFrom || this.#cancelled * 2 < this.#heap.size) return;
    this.#heap.retain(({ isCancelled }) => !isCancelled);
    this.#cancelled = 0;
  }

  /** Resolves when no promise moves any more by itself: nothing is held, no file is being read, no turn is asked for. */
  async #settle(): Promise<void> {
    for (;;) {
      await nextTurn();
      if (this.#held > 0) {
        await new Promise<void>((resolve) => (this.#onRelease = resolve));
        this.#onRelease = undefined;
      } else if (!process.getActiveResourcesInfo().some((kind) => workKinds.has(kind))) {
        return;
      }
    }
  }
}
