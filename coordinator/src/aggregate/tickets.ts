/** Above any number of updates or spans: who takes it finds nothing to do. */
const noMore = 2 ** 30;

/** How a thread's share of a task ended. */
export type Turn<Value> =
  | { readonly kind: "done"; readonly value: Value }
  /** @param ticket the last number that it took; -1 for none */
  | { readonly kind: "failed"; readonly ticket: number; readonly error: unknown };

/**
 * Does a share of the work, which is numbered 0, 1, 2, ..., each number for one of the threads that share the array. When
 * it fails nobody takes another number; lower ones have been taken by then, so the lowest that failed is the one at which a
 * single thread would have stopped.
 *
 * @param work takes its numbers from `next`
 */
export function inTurn<Value>(tickets: Int32Array, work: (next: () => number) => Value): Turn<Value> {
  let ticket = -1;
  try {
    return { kind: "done", value: work(() => (ticket = Atomics.add(tickets, 0, 1))) };
  } catch (error) {
    Atomics.store(tickets, 0, noMore);
    return { kind: "failed", ticket, error };
  }
}
