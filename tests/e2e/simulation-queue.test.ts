import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fedlora, RunningCommand } from "./processes.js";

const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;
if (!hasRedis)
  console.warn("skipped: redis-server is not installed, so simulations on several machines are not tested");

/** Long enough trainings that a worker dies in the middle of one. */
const scenario = {
  name: "queue",
  data: { kind: "synthetic", examples: 1000, heldOut: 0.2 },
  partition: { kind: "dirichlet", clients: 12, alpha: 1 },
  model: { kind: "linear" },
  devices: { classes: [{ name: "slow", stepMs: 400 }, { name: "fast" }], dropout: { prob: 0.1 } },
  run: {
    method: { name: "fedex-lora" },
    adapter: { rank: 4, targetModules: "all-linear" },
    rounds: 3,
    cohort: { size: 8 },
    training: { localSteps: 2000, batchSize: 16, optimizer: { kind: "sgd", learningRate: 0.1 } },
  },
};

describe.skipIf(!hasRedis)("a simulation whose workers are other processes", () => {
  let folder: string;
  let socket: string;
  let path: string;
  let server: ChildProcess;
  let runs = 0;
  const workers: RunningCommand[] = [];

  async function startRedis(): Promise<void> {
    const args = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder];
    server = spawn("redis-server", args, { stdio: "ignore" });
    while (!existsSync(socket)) await sleep(20);
  }
  async function stopRedis(): Promise<void> {
    const exited = once(server, "exit");
    server.kill();
    await exited;
  }
  async function startWorker(): Promise<RunningCommand> {
    const worker = new RunningCommand(["simulate-worker", path, "--redis", socket, "--workers", "1", "--json"]);
    workers.push(worker);
    await worker.line(({ event }) => event === "ready");
    return worker;
  }
  const simulation = (...flags: string[]): RunningCommand =>
    new RunningCommand(["simulate", path, "--json", "--out", join(folder, String(++runs)), ...flags]);
  async function hashOf(command: RunningCommand): Promise<unknown> {
    const { runs: results } = await command.line(() => true);
    const [run] = results as [{ finalHash: unknown; state: unknown }];
    expect(run).toMatchObject({ state: "completed", finalHash: expect.stringMatching(/^[0-9a-f]{64}$/) });
    return run.finalHash;
  }
  const stderrOf = async (command: RunningCommand, text: string): Promise<void> => {
    while (!command.stderr.includes(text)) await sleep(20);
  };
  async function jobs(): Promise<string[]> {
    const redis = new Redis(socket);
    const keys = await redis.keys("fedlora:queue-shards:*");
    redis.disconnect();
    return keys.filter((key) => /:([0-9a-f]{64}|wait|active|delayed|failed|completed|stalled)$/.test(key));
  }

  let threads: unknown;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fedlora-queue-"));
    [socket, path] = [join(folder, "redis.sock"), join(folder, "scenario.yaml")];
    await writeFile(path, JSON.stringify(scenario));
    await startRedis();
    threads = await hashOf(simulation("--workers", "2"));
  });
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.end()));
    await stopRedis();
    await rm(folder, { recursive: true });
  });

  test("without a worker it says how to start one, and gives up in time", async () => {
    const command = simulation("--redis", socket, "--patience", "1");
    expect(await command.exited).toBe(3);
    expect(command.stderr).toContain(`npx fedlora simulate-worker ${path} --redis ${socket}\n`);
    expect(command.stderr).toMatch(/no worker for "queue" at .* in 1 s\n {2}code: +worker-missing/);
  });

  test("one of two workers is killed in the middle of a shard: the same adapter, and no job is left", async () => {
    const [doomed, other] = await Promise.all([startWorker(), startWorker()]);
    const command = simulation("--redis", socket);
    const { shard } = await doomed.line(({ event }) => event === "shard");
    doomed.child.kill("SIGKILL");
    await doomed.exited;
    expect(doomed.lines.filter((line) => line.includes('"answered"'))).toEqual([]);
    expect(await hashOf(command)).toBe(threads);
    await other.line((line) => line["event"] === "answered" && line["shard"] === shard);
    expect(await command.exited).toBe(0);
    expect(command.stderr).toMatch(/Worker \S+ is gone/);
    expect(await jobs()).toEqual([]);
  });

  test("Redis is gone and comes back with nothing in it: the same adapter", async () => {
    const command = simulation("--redis", socket);
    await stderrOf(command, "Workers: ");
    await sleep(300);
    await stopRedis();
    await stderrOf(command, "is away; waiting for it up to 120 s");
    await startRedis();
    expect(await hashOf(command)).toBe(threads);
    expect(command.stderr).toMatch(/Redis at \S+ is back after/);
  });

  test("what is interrupted leaves no job behind", async () => {
    const command = simulation("--redis", socket);
    await stderrOf(command, "Workers: ");
    while ((await jobs()).length === 0) await sleep(20);
    await command.end("SIGINT");
    expect(command.stderr).toContain("cancelled");
    expect(await jobs()).toEqual([]);
  });

  test("workers with different engines are refused, and both are named", async () => {
    const redis = new Redis(socket);
    const ids = await redis.smembers("fedlora:queue:workers");
    const text = (await redis.mget(ids.map((id) => `fedlora:queue:workers:${id}`))).find((each) => each !== null) ?? "";
    const real = JSON.parse(text) as { name: string; engine: { fingerprint: string } };
    const engine = { ...real.engine, fingerprint: "another" };
    await redis.sadd("fedlora:queue:workers", "fake");
    await redis.set("fedlora:queue:workers:fake", JSON.stringify({ ...real, id: "fake", name: "elsewhere/1", engine }));
    const command = simulation("--redis", socket);
    expect(await command.exited).toBe(2);
    expect(command.stderr).toMatch(/code: +engine-mixed/);
    for (const part of ["elsewhere/1", real.name, '"another"', `"${real.engine.fingerprint}"`]) {
      expect(command.stderr).toContain(part);
    }
    // A worker that comes to a simulation with another engine leaves by itself.
    const content = { engine, data: "d", model: "m" };
    const session = { id: "s", name: "elsewhere/2", content, store: { url: "http://127.0.0.1:1", token: "" } };
    await redis.set("fedlora:queue:session", JSON.stringify(session), "PX", 20_000);
    const worker = workers.at(-1)!;
    expect(await worker.exited).toBe(2);
    expect(worker.stderr).toMatch(/elsewhere\/2 has "another"\n {2}code: +engine-mixed/);
    redis.disconnect();
  });
});

test("where no Redis answers both sides say so at once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-queue-"));
  const path = join(folder, "scenario.yaml");
  await writeFile(path, JSON.stringify(scenario));
  const address = "redis://127.0.0.1:1";
  const both = ["simulate", "simulate-worker"].map((command) => fedlora(command, path, "--redis", address));
  for (const { code, stderr } of await Promise.all(both)) {
    expect(code).toBe(3);
    expect(stderr).toContain(`no answer from Redis at ${address}: connect ECONNREFUSED`);
    expect(stderr).toMatch(/code: +queue-unavailable\n {2}to do: +Start Redis/);
  }
  await rm(folder, { recursive: true });
});
