import { FedLoraError } from "@fedlora/core";
import { expect, test } from "vitest";

import { openMemoryStorage } from "../storage/memory-storage.js";
import type { Journal } from "../storage/storage.js";
import { expectCode } from "../testing/storage-contract.js";
import { JournalWriter } from "./journal-writer.js";

test("an event that the journal refuses at once does not stand in the way of the next", async () => {
  const { journal } = openMemoryStorage();
  const picky = Object.create(journal, {
    sequence: { get: () => journal.sequence },
    epoch: { get: () => journal.epoch },
    append: {
      value: (...args: Parameters<Journal["append"]>) => {
        if (args[2].some(({ type }) => type === "huge")) throw new FedLoraError("internal", "the event is too large");
        return journal.append(...args);
      },
    },
  }) as Journal;
  const failures: unknown[] = [];
  const writer = new JournalWriter(picky, (thrown) => failures.push(thrown));

  await expectCode("internal", writer.append([{ type: "huge" }, { type: "huge" }]).durable);
  const { firstSequence, durable } = writer.append([{ type: "small" }]);
  await durable;

  expect(firstSequence).toBe(1);
  expect(journal.sequence).toBe(1);
  expect(failures).toHaveLength(1);
});
