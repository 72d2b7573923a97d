import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TrainingEngine } from "../engine.js";
import { copyToy } from "../runtime/testing/toy.js";
import type { Toy } from "../runtime/testing/toy.js";
import { openForkedEngine } from "./open-forked-engine.js";

let toy: Toy;
let slow: Toy;
beforeAll(async () => {
  toy = await copyToy("toy");
  slow = await copyToy("slow");
});
afterAll(async () => {
  await toy.remove();
  await slow.remove();
});

const start = { engine: "onnxruntime-cpu", threads: 1, prepack: false } as const;

function accumulate(
  engine: TrainingEngine,
  { artifact, weightsFile, inputs }: Toy,
  slot: string,
  signal?: AbortSignal,
) {
  return engine.accumulate({ artifact, weightsFile, inputs, slot }, signal);
}

function applyTo(engine: TrainingEngine, slot: string, { slot: { trained } }: Toy) {
  const learningRates = Object.fromEntries(trained.map((name) => [name, 0.05]));
  return engine.apply({ slot, learningRates, maxGradNorm: undefined, proximalMu: undefined });
}

test("the same step in another process, with its results and its errors", async () => {
  const engine = await openForkedEngine(start);
  const slot = await engine.createSlot(toy.slot);

  const first = await accumulate(engine, toy, slot);
  const { gradNorm } = await applyTo(engine, slot, toy);
  const second = await accumulate(engine, toy, slot);
  const missing = engine.accumulate({ artifact: toy.artifact, weightsFile: "/nowhere", inputs: {}, slot });

  expect(first.loss).toBeCloseTo(toy.golden.loss, 4);
  expect(gradNorm / toy.golden.gradNorm).toBeCloseTo(1, 5);
  expect(second.loss).toBeLessThan(first.loss);
  await expect(missing).rejects.toMatchObject({ name: "FedLoraError", code: "request-invalid" });
  expect([...(await engine.readSlot(slot)).keys()]).toEqual([...toy.slot.tensors.keys()].sort());
  expect(await engine.memory()).toEqual({ rssBytes: expect.any(Number), peakRssBytes: expect.any(Number) });
  expect(engine.fingerprint).toContain("onnxruntime-node 1.");
  await engine.close();
  await expect(accumulate(engine, toy, slot)).rejects.toMatchObject({ code: "engine-failed" });
});

test("an engine with threads of its own ends when it is closed", async () => {
  const engine = await openForkedEngine({ ...start, engine: "onnxruntime-web", threads: 2 });
  const slot = await engine.createSlot(toy.slot);
  const { loss } = await accumulate(engine, toy, slot);
  await engine.close();
  expect(loss).toBeCloseTo(toy.golden.loss, 4);
  expect(await childPids()).toEqual([]);
});

test("a long step leaves the application's event loop free, and a stop waits for its end", async () => {
  const engine = await openForkedEngine(start);
  const slot = await engine.createSlot(slow.slot);
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), 10);
  const abort = new AbortController();

  const running = accumulate(engine, slow, slot);
  const waiting = accumulate(engine, slow, slot, abort.signal);
  abort.abort();
  const { stepMs } = await running;
  clearInterval(timer);
  await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
  await engine.close();

  // In the same process there would be one or two ticks, whatever the step takes.
  expect(ticks).toBeGreaterThan(Math.min(20, stepMs / 50));
});

test("memory is after 200 steps where it was after 20", async () => {
  const wide = await copyToy("wide");
  const engine = await openForkedEngine(start);
  const slot = await engine.createSlot(wide.slot);
  const after = async (steps: number): Promise<number> => {
    for (let step = 0; step < steps; step++) {
      await accumulate(engine, wide, slot);
      await applyTo(engine, slot, wide);
    }
    return (await engine.memory()).rssBytes;
  };

  const early = await after(20);
  const late = await after(180);
  await engine.close();
  await wide.remove();

  // A step has gradients of 1 MB: keeping them would be 180 MB. The rest is the garbage collector's slack.
  expect(late - early).toBeLessThan(40e6);
});

test("a hard close ends the process in the middle of a step", async () => {
  const engine = await openForkedEngine(start);
  const slot = await engine.createSlot(slow.slot);
  let finished = false;
  const running = accumulate(engine, slow, slot).then(() => (finished = true));
  const refused = expect(running).rejects.toMatchObject({ code: "cancelled" });

  await engine.close({ hard: true });

  await refused;
  expect(finished).toBe(false);
});

test("a crash fails what waits, and the next slot starts a new process", async () => {
  const engine = await openForkedEngine(start);
  const slot = await engine.createSlot(slow.slot);
  const refused = expect(accumulate(engine, slow, slot)).rejects.toMatchObject({
    code: "engine-failed",
    message: expect.stringContaining("SIGKILL"),
  });

  for (const pid of await childPids()) process.kill(pid, "SIGKILL");
  await refused;
  await expect(engine.readSlot(slot)).rejects.toMatchObject({ code: "engine-failed" });
  await engine.releaseSlot(slot);
  const next = await engine.createSlot(toy.slot);

  expect((await accumulate(engine, toy, next)).loss).toBeCloseTo(toy.golden.loss, 4);
  await expect(engine.readSlot(slot)).rejects.toMatchObject({ code: "engine-failed" });
  await engine.close();
});

test.runIf(process.platform === "linux")("an engine without its libraries says which", async () => {
  const refused = openForkedEngine({ ...start, engine: "onnxruntime-cuda" });
  await expect(refused).rejects.toMatchObject({
    code: "engine-unavailable",
    message: expect.stringContaining("shared library"),
  });
});

test("from another working directory: an idle engine does not keep the application alive and ends with it", async () => {
  const source = `
    const { openForkedEngine } = await import(${JSON.stringify(new URL("./open-forked-engine.ts", import.meta.url).href)});
    const engine = await openForkedEngine(${JSON.stringify(start)});
    const { rssBytes } = await engine.memory();
    console.log(rssBytes > 0);`;
  const { stdout } = await promisify(execFile)(process.execPath, [...loader(), "--input-type=module", "-e", source], {
    cwd: tmpdir(),
  });
  expect(stdout.trim()).toBe("true");
  expect(await childPids()).toEqual([]);
});

test("the engine ends when the application is killed", async () => {
  const source = `
    const { openForkedEngine } = await import(${JSON.stringify(new URL("./open-forked-engine.ts", import.meta.url).href)});
    const engine = await openForkedEngine(${JSON.stringify(start)});
    setInterval(() => undefined, 1000);
    const { execFileSync } = await import("node:child_process");
    console.log("engine", execFileSync("pgrep", ["-P", String(process.pid), "-f", "engine-child"]).toString().trim());`;
  const application = spawn(process.execPath, [...loader(), "--input-type=module", "-e", source]);
  const [line] = (await once(application.stdout, "data")) as [Buffer];
  const engine = Number(/engine (\d+)/.exec(line.toString())?.[1]);
  expect(isAlive(engine)).toBe(true);

  application.kill("SIGKILL");

  await expect.poll(() => isAlive(engine), { timeout: 10_000 }).toBe(false);
});

function loader(): string[] {
  const path = createRequire(import.meta.url).resolve("tsx");
  return ["--import", pathToFileURL(path).href, "--conditions=@fedlora/source"];
}

/** Engine processes of this one. */
async function childPids(): Promise<number[]> {
  const listed = promisify(execFile)("pgrep", ["-P", String(process.pid), "-f", "engine-child"]);
  const { stdout } = await listed.catch(() => ({ stdout: "" }));
  return stdout.split("\n").filter(Boolean).map(Number);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
