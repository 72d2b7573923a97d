/** Something that is due at a virtual time. Equal times: by actor, then in the order in which it was asked for. */
export interface TimedEvent {
  readonly atMs: number;
  readonly actor: number;
  readonly order: number;
}

/** A binary heap of events, the earliest on top. */
export class EventHeap<Event extends TimedEvent> {
  readonly #events: Event[] = [];

  get size(): number {
    return this.#events.length;
  }

  peek(): Event | undefined {
    return this.#events[0];
  }

  push(event: Event): void {
    const events = this.#events;
    let at = events.length;
    events.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = events[parent];
      if (above === undefined || !isBefore(event, above)) break;
      events[at] = above;
      at = parent;
    }
    events[at] = event;
  }

  pop(): Event | undefined {
    const events = this.#events;
    const [top] = events;
    const last = events.pop();
    if (top === undefined || last === undefined || events.length === 0) return top;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const [first, second] = [events[left], events[left + 1]];
      const isSecond = first !== undefined && second !== undefined && isBefore(second, first);
      const below = isSecond ? second : first;
      if (below === undefined || !isBefore(below, last)) break;
      events[at] = below;
      at = isSecond ? left + 1 : left;
    }
    events[at] = last;
    return top;
  }

  /** Keeps the events that pass, whatever their order in the heap was. */
  retain(isKept: (event: Event) => boolean): void {
    const kept = this.#events.filter(isKept);
    this.#events.length = 0;
    for (const event of kept) this.push(event);
  }
}

function isBefore(a: TimedEvent, b: TimedEvent): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  return a.actor !== b.actor ? a.actor < b.actor : a.order < b.order;
}
