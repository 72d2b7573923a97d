import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { VirtualClock } from "./virtual-clock.js";

const never = (): AbortSignal => new AbortController().signal;

test("a year passes at once, in the order of the times and, at one time, of the actors", async () => {
  const clock = new VirtualClock();
  const log: string[] = [];
  const sleep = async (actor: number, ms: number): Promise<void> => {
    await clock.actor(actor).sleep(ms);
    log.push(`${actor}@${clock.elapsedMs}`);
  };
  const year = 365 * 24 * 3_600_000;
  const all = [sleep(3, year), sleep(2, 5), sleep(1, 5), sleep(9, 0)];
  await clock.run(() => log.length === all.length);
  expect(log).toEqual(["9@0", "1@5", "2@5", `3@${year}`]);
});

test("what an event brings about is over before the next event of the same time", async () => {
  const clock = new VirtualClock();
  const folder = await mkdtemp(join(tmpdir(), "fedlora-clock-"));
  const log: string[] = [];
  const work = async (actor: number): Promise<void> => {
    await clock.actor(actor).sleep(10);
    log.push(`begin ${actor}`);
    const path = join(folder, String(actor));
    for (let i = 0; i < 5; i += 1) {
      await writeFile(path, "x");
      await readFile(path);
      await new Promise((resolve) => setImmediate(resolve));
    }
    log.push(`end ${actor} at ${clock.elapsedMs}`);
  };
  void work(2);
  void work(1);
  await clock.run(() => log.length === 4);
  expect(log).toEqual(["begin 1", "end 1 at 10", "begin 2", "end 2 at 10"]);
  await rm(folder, { recursive: true });
});

test("real work runs side by side and ends at its virtual time, the slow one too", async () => {
  const clock = new VirtualClock();
  const log: string[] = [];
  let running = 0;
  let most = 0;
  const work = (realMs: number) => async (): Promise<number> => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, realMs));
    running -= 1;
    return realMs;
  };
  const start = async (actor: number, virtualMs: number, realMs: number): Promise<void> => {
    const result = await clock.during(actor, virtualMs, work(realMs), never());
    log.push(`${actor}: ${result} at ${clock.elapsedMs}`);
  };
  void start(1, 100, 60);
  void start(2, 200, 1);
  void start(3, 50, 30);
  await clock.run(() => log.length === 3);
  expect(log).toEqual(["3: 30 at 50", "1: 60 at 100", "2: 1 at 200"]);
  expect(most).toBe(3);
});

test("time stands still while somebody holds it", async () => {
  const clock = new VirtualClock();
  const log: string[] = [];
  void clock.hold(async () => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    log.push(`held until ${clock.elapsedMs}`);
  });
  void clock
    .actor(1)
    .sleep(1000)
    .then(() => log.push("slept"));
  await clock.run(() => log.length === 2);
  expect(log).toEqual(["held until 0", "slept"]);
});

test("an aborted sleep does not happen, its work's failure is nobody's", async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const failing = (): Promise<never> => Promise.reject(new Error("lost work"));
  const slept = clock.actor(1).sleep(5, stop.signal);
  const worked = clock.during(2, 5, failing, stop.signal);
  stop.abort(new Error("stopped"));
  await expect(slept).rejects.toThrow("stopped");
  await expect(worked).rejects.toThrow("stopped");
  let isOver = false;
  void clock
    .actor(1)
    .sleep(7)
    .then(() => (isOver = true));
  await clock.run(() => isOver);
  expect(clock.elapsedMs).toBe(7);
});

test("work that fails is reported at its time", async () => {
  const clock = new VirtualClock();
  let seen = "";
  void clock
    .during(1, 5, () => Promise.reject(new Error("broken")), never())
    .catch((error: unknown) => (seen = `${String(error)} at ${clock.elapsedMs}`));
  await clock.run(() => seen !== "");
  expect(seen).toBe("Error: broken at 5");
});

test("nothing due and not over is a coded error", async () => {
  await expect(new VirtualClock().run(() => false)).rejects.toMatchObject({ code: "simulation-stuck" });
});

test("thousands of cancelled sleeps leave nothing behind", async () => {
  const clock = new VirtualClock();
  for (let i = 0; i < 5000; i += 1) {
    const stop = new AbortController();
    const slept = clock.actor(1).sleep(1e9, stop.signal);
    stop.abort(new Error("x"));
    await slept.catch(() => undefined);
  }
  expect(clock.pending).toBeLessThan(2500);
});
