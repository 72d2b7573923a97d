import { expect, test } from "vitest";
import { EventQueue } from "./event-queue.js";
import type { ClientEvent } from "./options.js";

const progress = (step: number): ClientEvent => ({
  type: "progress",
  round: 1,
  stage: "training",
  step,
  totalSteps: 9,
  loss: 1,
  tokensPerSecond: 1,
});
const enrolled = (clientId: string): ClientEvent => ({ type: "enrolled", clientId });

const readAll = async (queue: EventQueue): Promise<ClientEvent[]> => {
  const events: ClientEvent[] = [];
  for await (const event of queue.read()) events.push(event);
  return events;
};

test("keeps the order, and of unread progress the last", async () => {
  const queue = new EventQueue();
  queue.push(progress(1));
  queue.push(progress(2));
  queue.push(enrolled("a"));
  queue.push(enrolled("b"));
  queue.push(progress(3));
  queue.end();

  expect(await readAll(queue)).toEqual([progress(2), enrolled("a"), enrolled("b"), progress(3)]);
});

test("yields what was pushed before it throws what ended it", async () => {
  const queue = new EventQueue();
  const events: ClientEvent[] = [];
  queue.push(enrolled("a"));
  queue.end(new Error("over"));

  const reading = (async () => {
    for await (const event of queue.read()) events.push(event);
  })();

  await expect(reading).rejects.toThrow("over");
  expect(events).toEqual([enrolled("a")]);
});

test("makes the work wait for a reader who is behind", async () => {
  const queue = new EventQueue(2);
  const signal = new AbortController().signal;
  queue.push(enrolled("a"));
  await queue.hasRoom(signal);
  queue.push(enrolled("b"));
  let hasRoom = false;
  const waiting = queue.hasRoom(signal).then(() => (hasRoom = true));
  await new Promise((resolve) => setImmediate(resolve));
  const before = hasRoom;

  await queue.read().next();
  await waiting;

  expect(before).toBe(false);
  expect(hasRoom).toBe(true);
});

test("stops waiting for a reader when told to", async () => {
  const queue = new EventQueue(1);
  const stop = new AbortController();
  queue.push(enrolled("a"));
  const waiting = queue.hasRoom(stop.signal);
  stop.abort(new Error("enough"));

  await expect(waiting).rejects.toThrow("enough");
});
