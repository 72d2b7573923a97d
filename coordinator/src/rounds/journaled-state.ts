import type { JournalWriter } from "./journal-writer.js";

interface InFlight<State> {
  readonly after: State;
  readonly generation: number;
  readonly durable: Promise<void>;
}

export interface Committed<State, Event> {
  readonly before: State;
  readonly state: State;
  readonly events: readonly (Event & { readonly sequence: number })[];
}

/**
 * A state that is made of journaled events. A decision sees every event decided before it; what it decides counts, and may be
 * acted on, once it is durable. So decisions follow each other without waiting and their events share a sync.
 */
export class JournaledState<State extends object, Event extends { readonly type: string }> {
  readonly #writer: JournalWriter;
  readonly #apply: (state: State, event: Event & { readonly sequence: number }) => State;
  readonly #onDurable: (committed: Committed<State, Event>) => void;
  #durable: State;
  #inFlight: InFlight<State>[] = [];

  constructor(
    writer: JournalWriter,
    initial: State,
    apply: (state: State, event: Event & { readonly sequence: number }) => State,
    onDurable: (committed: Committed<State, Event>) => void,
  ) {
    this.#writer = writer;
    this.#durable = initial;
    this.#apply = apply;
    this.#onDurable = onDurable;
  }

  /** With everything that was decided; what it says may not be told to anybody yet. */
  get decided(): State {
    return this.#inFlight.findLast(({ generation }) => generation === this.#writer.generation)?.after ?? this.#durable;
  }

  /** With everything that is durable. */
  get durable(): State {
    return this.#durable;
  }

  /**
   * Decides, journals, applies; resolves when durable. A decision without events waits for those before it, because what it saw
   * may not be durable yet. Rejects with what the decision throws and with what the journal does.
   */
  async commit(decide: (state: State) => readonly Event[]): Promise<Committed<State, Event>> {
    const before = this.decided;
    const events = decide(before);
    if (events.length === 0) {
      await this.#inFlight.at(-1)?.durable;
      return { before, state: before, events: [] };
    }
    const { firstSequence, durable } = this.#writer.append(events);
    const sequenced = events.map((event, index) => ({ ...event, sequence: firstSequence + index }));
    const after = sequenced.reduce((state, event) => this.#apply(state, event), before);
    const entry = { after, generation: this.#writer.generation, durable };
    this.#inFlight.push(entry);
    try {
      await durable;
    } catch (thrown) {
      this.#inFlight = this.#inFlight.filter((other) => other !== entry);
      throw thrown;
    }
    this.#inFlight.shift();
    this.#durable = after;
    const committed = { before, state: after, events: sequenced };
    this.#onDurable(committed);
    return committed;
  }
}
