import { systemClock } from "@fedlora/core";
import { expect, test } from "vitest";
import { createFairShare } from "./fair-share.js";
import { readExamples } from "./read-examples.js";

const noSignal = new AbortController().signal;
const turn = createFairShare(systemClock);

test("lists, generators and promises of them, in their order", async () => {
  const examples = [1, 2, 3].map((index) => ({ text: `text ${index}` }));
  async function* lazily() {
    for (const example of examples) yield await Promise.resolve(example);
  }

  expect(await readExamples(examples, "d", noSignal, turn)).toEqual(examples);
  expect(await readExamples(lazily(), "d", noSignal, turn)).toEqual(examples);
  expect(await readExamples(Promise.resolve(new Set(examples)), "d", noSignal, turn)).toEqual(examples);
});

test("an abort ends an endless source", async () => {
  const abort = new AbortController();
  let given = 0;
  function* forever() {
    for (;;) {
      given += 1;
      if (given === 100) abort.abort();
      yield { text: "again" };
    }
  }

  await expect(readExamples(forever(), "d", abort.signal, turn)).rejects.toMatchObject({ code: "cancelled" });
  expect(given).toBe(100);
});

test("long work lets timers run in between", async () => {
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), 1);
  const share = createFairShare(systemClock);

  for (let piece = 0; piece < 20; piece++) {
    const end = systemClock.monotonicMs() + 3;
    while (systemClock.monotonicMs() < end);
    await share();
  }
  clearInterval(timer);

  // 60 ms of work in slices of 8 to 11 ms.
  expect(ticks).toBeGreaterThanOrEqual(3);
});
