import { FedLoraError } from "@fedlora/core";
import { describe, expect, test } from "vitest";

import { openMemoryStorage } from "../storage/memory-storage.js";
import type { Journal } from "../storage/storage.js";
import { JournalWriter } from "./journal-writer.js";
import { JournaledState } from "./journaled-state.js";

interface Added {
  readonly type: "added";
  readonly value: number;
}

/** A journal whose appends wait until the test lets them through or fails them. */
function gatedState(): {
  readonly state: JournaledState<{ readonly values: readonly number[] }, Added>;
  readonly gates: { open(): void; fail(): void }[];
} {
  const { journal } = openMemoryStorage();
  const gates: { open(): void; fail(): void }[] = [];
  const gated: Journal = Object.create(journal, {
    sequence: { get: () => journal.sequence },
    epoch: { get: () => journal.epoch },
    append: {
      value: (...args: Parameters<Journal["append"]>) =>
        new Promise((resolve, reject) => {
          gates.push({
            open: () => resolve(journal.append(...args)),
            fail: () => reject(new FedLoraError("storage-full", "full")),
          });
        }),
    },
  });
  const state = new JournaledState(
    new JournalWriter(gated),
    { values: [] as readonly number[] },
    ({ values }, event: Added) => ({ values: [...values, event.value] }),
    () => undefined,
  );
  return { state, gates };
}

const add = (value: number) => (): readonly Added[] => [{ type: "added", value }];

describe("a journaled state", () => {
  test("shows decisions to decisions at once, and to others when they are durable", async () => {
    const { state, gates } = gatedState();
    const first = state.commit(add(1));
    const second = state.commit(({ values }) => [{ type: "added", value: values.length * 10 }]);
    expect(state.decided.values).toEqual([1, 10]);
    expect(state.durable.values).toEqual([]);
    gates[0]!.open();
    await first;
    expect(state.durable.values).toEqual([1]);
    gates[1]!.open();
    expect((await second).events.map(({ sequence }) => sequence)).toEqual([2]);
    expect(state.durable.values).toEqual([1, 10]);
  });

  test("answers a decision without events only when what it saw is durable", async () => {
    const { state, gates } = gatedState();
    const first = state.commit(add(1));
    let isAnswered = false;
    const question = state.commit(() => []).then(() => (isAnswered = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isAnswered).toBe(false);
    gates[0]!.open();
    await Promise.all([first, question]);
  });

  test("goes back to what is durable when an append fails, and on from there", async () => {
    const { state, gates } = gatedState();
    const appends = [state.commit(add(1)), state.commit(add(2))];
    const results = Promise.allSettled(appends);
    gates[0]!.fail();
    gates[1]!.fail();
    expect((await results).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(state.decided.values).toEqual([]);
    const third = state.commit(add(3));
    gates[2]!.open();
    expect((await third).events[0]!.sequence).toBe(1);
    expect(state.durable.values).toEqual([3]);
  });
});
