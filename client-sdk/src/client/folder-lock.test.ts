import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockFolder } from "./folder-lock.js";

let folder: string;
let other: ChildProcess;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-lock-"));
  other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
});
afterEach(async () => {
  other.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

const writeLock = (owner: object): Promise<void> => writeFile(join(folder, "lock"), JSON.stringify(owner));
const inUse = expect.objectContaining({ code: "config-invalid" });

test("is held until it is released", async () => {
  const lock = await lockFolder(folder);

  await expect(lockFolder(folder)).rejects.toEqual(inUse);
  await lock.release();
  await (await lockFolder(folder)).release();
  await expect(readFile(join(folder, "lock"))).rejects.toMatchObject({ code: "ENOENT" });
});

test("is not taken from a living process, nor from another machine", async () => {
  await writeLock({ pid: other.pid, host: hostname(), startedAt: "" });
  await expect(lockFolder(folder)).rejects.toThrow(`process ${other.pid}`);

  await writeLock({ pid: 1, host: "elsewhere", startedAt: "" });
  await expect(lockFolder(folder)).rejects.toThrow("machine elsewhere");
});

test.each([
  ["a process that is gone", () => JSON.stringify({ pid: 2 ** 22 - 3, host: hostname(), startedAt: "" })],
  [
    "an earlier process with the number of a living one",
    () => JSON.stringify({ pid: other.pid, host: hostname(), startedAt: "boot/1" }),
  ],
  [
    "an earlier process with our own number",
    () => JSON.stringify({ pid: process.pid, host: hostname(), startedAt: "" }),
  ],
  ["a crash in the middle of writing it", () => '{"pid": 12'],
])("is taken over from %s", async (_, content) => {
  await writeFile(join(folder, "lock"), content());

  const lock = await lockFolder(folder);

  expect(JSON.parse(await readFile(join(folder, "lock"), "utf8"))).toMatchObject({ pid: process.pid });
  await lock.release();
});
