import type { FedLoraError } from "@fedlora/core";

import type { Journal } from "../storage/storage.js";

/**
 * The one writer of a journal: hands out sequences in order, so that several appends can be on their way at once. After a failed
 * one the numbering goes back to what is durable; all appends of the failed generation fail.
 */
export class JournalWriter {
  readonly #journal: Journal;
  readonly #onFailure: (error: unknown) => void;
  #assigned: number;
  #generation = 0;

  constructor(journal: Journal, onFailure: (error: unknown) => void = () => undefined) {
    this.#journal = journal;
    this.#onFailure = onFailure;
    this.#assigned = journal.sequence;
  }

  /** Counts up with every failure: what was appended under an earlier one and is not durable yet never will be. */
  get generation(): number {
    return this.#generation;
  }

  /** The first event's sequence at once, its durability later. */
  append(events: readonly { readonly type: string }[]): {
    readonly firstSequence: number;
    readonly durable: Promise<void>;
  } {
    const expected = this.#assigned;
    const generation = this.#generation;
    this.#assigned += events.length;
    // An append that throws at once fails as any other does, or the numbering would be ahead of the journal.
    const append = async (): Promise<number> => this.#journal.append(expected, this.#journal.epoch, events);
    const durable = append().then(
      () => undefined,
      (thrown: unknown) => {
        if (this.#generation === generation) {
          this.#generation += 1;
          this.#assigned = this.#journal.sequence;
          this.#onFailure(thrown);
        }
        throw thrown as FedLoraError;
      },
    );
    return { firstSequence: expected + 1, durable };
  }
}
