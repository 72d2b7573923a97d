import type { LocalTrainer } from "@fedlora/client-sdk";
import { expect, test } from "vitest";
import { TrainerRoom, type RoomWorker } from "./trainer-room.js";

const worker = (fingerprint: string, train: () => Promise<unknown> = () => Promise.resolve()): RoomWorker => ({
  trainer: { train } as unknown as LocalTrainer,
  engine: { name: "test", fingerprint, directives: [] },
});

test("workers with different engines are refused, and so are none", () => {
  expect(() => new TrainerRoom([worker("a"), worker("a"), worker("b")])).toThrow(
    expect.objectContaining({ code: "engine-mixed", message: 'worker 3 has the engine "b", the first "a"' }),
  );
  expect(() => new TrainerRoom([])).toThrow(expect.objectContaining({ code: "config-invalid" }));
});

test("no more work at a time than there are workers; what was aborted in the queue is not begun", async () => {
  let running = 0;
  let most = 0;
  const begun: string[] = [];
  const train = async (): Promise<unknown> => {
    begun.push("work");
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running -= 1;
    return {};
  };
  const room = new TrainerRoom([worker("a", train), worker("a", train)]);
  const stop = new AbortController();
  const request = {} as Parameters<LocalTrainer["train"]>[0];
  const all = Array.from({ length: 5 }, () => room.train(request, new AbortController().signal));
  const aborted = room.train(request, stop.signal);
  stop.abort(new Error("gone"));
  await expect(aborted).rejects.toThrow("gone");
  await Promise.all(all);
  expect([begun.length, most]).toEqual([5, 2]);
  expect(room.busyMs).toBeGreaterThan(0);
});

test("workers of depth 2 get a second request each, but nobody before all have their first", async () => {
  const got = [0, 0];
  const ends: (() => void)[] = [];
  const workers = got.map((_, index) => {
    const train = async (): Promise<unknown> => {
      got[index] = got[index]! + 1;
      await new Promise<void>((resolve) => ends.push(resolve));
      return {};
    };
    return { ...worker("a", train), depth: 2 };
  });
  const room = new TrainerRoom(workers);
  const train = (): Promise<unknown> =>
    room.train({} as Parameters<LocalTrainer["train"]>[0], new AbortController().signal);
  const all = [train(), train()];
  expect(got).toEqual([1, 1]);
  all.push(train(), train(), train());
  expect(got).toEqual([2, 2]);

  while (ends.length > 0) {
    ends.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  }

  await Promise.all(all);
  expect(got[0]! + got[1]!).toBe(5);
});

test("of requests that wait, the one whose result is due first is trained first", async () => {
  const begun: unknown[] = [];
  const train = (request: unknown): Promise<unknown> => {
    begun.push(request);
    return Promise.resolve({});
  };
  const room = new TrainerRoom([{ ...worker("a"), trainer: { train } as unknown as LocalTrainer }]);

  await Promise.all(
    [9, 30, 20, 10, 20].map((dueMs, index) =>
      room.train(`${index}` as never, new AbortController().signal, undefined, dueMs),
    ),
  );

  expect(begun).toEqual(["0", "3", "2", "4", "1"]);
});
