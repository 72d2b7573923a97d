import type { ClientEvent } from "./options.js";

/** Events of these types say how things stand now: an unread one is replaced by its successor. */
const superseded: ReadonlySet<ClientEvent["type"]> = new Set(["progress", "uploading", "waiting", "retrying"]);

/** Events between the client's work and whoever reads them. Bounded: the work pauses between plans while it is full. */
export class EventQueue {
  readonly #events: ClientEvent[] = [];
  readonly #limit: number;
  #wake: (() => void) | undefined;
  #room: (() => void) | undefined;
  #ended = false;
  #failure: Error | undefined;

  constructor(limit = 64) {
    this.#limit = limit;
  }

  push(event: ClientEvent): void {
    const last = this.#events.at(-1);
    if (last?.type === event.type && superseded.has(event.type)) this.#events.pop();
    this.#events.push(event);
    this.#wake?.();
  }

  /** Resolves when the reader has caught up enough for another plan; rejects with the signal's reason. */
  async hasRoom(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.#room?.();
    signal.addEventListener("abort", onAbort);
    try {
      while (this.#events.length >= this.#limit && !signal.aborted) {
        await new Promise<void>((resolve) => (this.#room = resolve));
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    signal.throwIfAborted();
  }

  end(failure?: Error): void {
    this.#ended = true;
    this.#failure = failure;
    this.#wake?.();
  }

  /** Yields what was pushed, in order, until `end`; throws what `end` was given. */
  async *read(): AsyncGenerator<ClientEvent, void, undefined> {
    for (;;) {
      const event = this.#events.shift();
      if (event !== undefined) {
        this.#room?.();
        yield event;
      } else if (this.#ended) {
        if (this.#failure !== undefined) throw this.#failure;
        return;
      } else {
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    }
  }
}
