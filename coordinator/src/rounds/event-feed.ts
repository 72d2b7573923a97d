import type { ClientId, RunId } from "@fedlora/core";

import type { RunEventRecord } from "../service.js";
import type { Journal } from "../storage/storage.js";
import { toRunEventRecord } from "./run-event-record.js";
import type { SequencedRunEvent } from "./run-events.js";

/** Facts that a watcher may lag behind before it is sent back to the journal. */
const maxQueuedFacts = 1000;

interface Subscriber {
  readonly runId: RunId;
  facts: RunEventRecord[];
  /** The latest of each client: an older one says nothing that it does not. */
  readonly progress: Map<ClientId, RunEventRecord>;
  /** Facts were dropped: the journal has them. */
  hasGap: boolean;
  isOver: boolean;
  wake: () => void;
}

/** Live events of runs for any number of watchers, each with bounded memory: what a slow one misses it reads in the journal. */
export class EventFeed {
  readonly #journal: Journal;
  readonly #subscribers = new Set<Subscriber>();
  #isClosed = false;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Facts of a run, durable and in order. */
  publish(runId: RunId, events: readonly SequencedRunEvent[]): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.runId !== runId) continue;
      if (subscriber.facts.length + events.length > maxQueuedFacts) {
        subscriber.facts = [];
        subscriber.hasGap = true;
      } else if (!subscriber.hasGap) {
        subscriber.facts.push(...events.map(toRunEventRecord));
      }
      subscriber.wake();
    }
  }

  publishProgress(runId: RunId, clientId: ClientId, record: RunEventRecord): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.runId !== runId) continue;
      subscriber.progress.set(clientId, record);
      subscriber.wake();
    }
  }

  /** The run ended for now: watchers get what is left and then end. */
  finish(runId: RunId): void {
    for (const subscriber of this.#subscribers) {
      if (subscriber.runId !== runId) continue;
      subscriber.isOver = true;
      subscriber.wake();
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const subscriber of this.#subscribers) subscriber.wake();
  }

  /**
   * Facts above `after` from the journal, then live ones until the run ends (`isOver` now, or `finish` later), the signal aborts
   * or the feed closes.
   */
  async *watch(
    runId: RunId,
    after: number,
    isOver: () => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<RunEventRecord, void, undefined> {
    const subscriber: Subscriber = {
      runId,
      facts: [],
      progress: new Map(),
      hasGap: true,
      isOver: isOver(),
      wake: () => undefined,
    };
    this.#subscribers.add(subscriber);
    const stop = (): void => subscriber.wake();
    signal.addEventListener("abort", stop);
    let last = after;
    // While this generator stood still at a yield, anything may have happened.
    const isAborted = (): boolean => signal.aborted;
    const hasMore = (): boolean => subscriber.hasGap || subscriber.facts.length > 0;
    try {
      while (!signal.aborted && !this.#isClosed) {
        const woken = new Promise<void>((resolve) => (subscriber.wake = resolve));
        if (subscriber.hasGap) {
          subscriber.hasGap = false;
          for await (const { sequence, event } of this.#journal.read(last)) {
            if (event.runId !== runId) continue;
            yield toRunEventRecord({ ...event, sequence } as unknown as SequencedRunEvent);
            last = sequence;
            if (isAborted()) return;
          }
          continue;
        }
        const { facts, progress } = subscriber;
        subscriber.facts = [];
        const latest = [...progress.values()];
        progress.clear();
        for (const record of facts) {
          if (record.sequence <= last) continue;
          yield record;
          last = record.sequence;
        }
        yield* latest;
        if (facts.length + latest.length > 0 || hasMore()) continue;
        if (subscriber.isOver) return;
        await woken;
      }
    } finally {
      signal.removeEventListener("abort", stop);
      this.#subscribers.delete(subscriber);
    }
  }
}
