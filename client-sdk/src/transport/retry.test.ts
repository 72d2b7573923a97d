import { FedLoraError } from "@fedlora/core";
import { expect, test } from "vitest";
import { createFastClock } from "../testing/fast-clock.js";
import { defaultRetryPolicy, withRetry, type RetryDependencies } from "./retry.js";

const signal = new AbortController().signal;

const setUp = (changes: Partial<RetryDependencies> = {}) => {
  const delays: number[] = [];
  const dependencies: RetryDependencies = {
    clock: createFastClock(),
    random: () => 0,
    policy: defaultRetryPolicy,
    onRetry: (_, delayMs) => delays.push(delayMs),
    ...changes,
  };
  return { delays, dependencies };
};

const failing = (times: number, error: () => Error): (() => Promise<string>) => {
  let calls = 0;
  return () => (++calls <= times ? Promise.reject(error()) : Promise.resolve("done"));
};
const unavailable = (retryAfterMs?: number): FedLoraError =>
  new FedLoraError("unavailable", "gone", retryAfterMs === undefined ? {} : { retryAfterMs });

test("doubles the delay up to the longest, between half and all of it", async () => {
  const least = setUp({ random: () => 0 });
  const most = setUp({ random: () => 1 - 2 ** -53 });

  await withRetry(failing(8, unavailable), least.dependencies, signal);
  await withRetry(failing(8, unavailable), most.dependencies, signal);

  expect(least.delays).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
  expect(most.delays).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
});

test("waits as long as the other side asks for, and at most a quarter longer", async () => {
  const least = setUp({ random: () => 0 });
  const most = setUp({ random: () => 1 - 2 ** -53 });

  await withRetry(
    failing(2, () => unavailable(8000)),
    least.dependencies,
    signal,
  );
  await withRetry(
    failing(1, () => unavailable(8000)),
    most.dependencies,
    signal,
  );

  expect(least.delays).toEqual([8000, 8000]);
  expect(most.delays).toEqual([10_000]);
});

test("throws at once what no repetition mends, and what it does not know", async () => {
  const { delays, dependencies } = setUp();

  const refused = withRetry(
    failing(1, () => new FedLoraError("round-closed", "late")),
    dependencies,
    signal,
  );
  const unknown = withRetry(
    failing(1, () => new TypeError("a bug")),
    dependencies,
    signal,
  );

  await expect(refused).rejects.toMatchObject({ code: "round-closed" });
  await expect(unknown).rejects.toMatchObject({ code: "internal", message: "a bug" });
  expect(delays).toEqual([]);
});

test("gives up after the attempts of its policy", async () => {
  const { delays, dependencies } = setUp({ policy: { ...defaultRetryPolicy, maxAttempts: 3 } });

  await expect(withRetry(failing(3, unavailable), dependencies, signal)).rejects.toMatchObject({ code: "unavailable" });
  expect(delays).toHaveLength(2);
});

test("stops waiting when it is told to", async () => {
  const stop = new AbortController();
  const reason = new Error("enough");
  const { dependencies } = setUp({ onRetry: () => stop.abort(reason) });

  await expect(withRetry(failing(9, unavailable), dependencies, stop.signal)).rejects.toBe(reason);
});
