import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startThread } from "@fedlora/core/node";
import { GoldenModel } from "../testing/golden-model.js";
import { readWeightPlaces } from "../weight-places.js";
import { compileArtifact } from "./compile-artifact.js";
import type { CompileRequest } from "./compile-artifact.js";
import { CompilerThread } from "./compiler-thread.js";

let outputFolder: string;
/** Threads that the test started, in order, with how many requests each got. */
let started: { readonly thread: Worker; requests: number }[];
beforeEach(async () => {
  outputFolder = await mkdtemp(join(tmpdir(), "fedlora-compiler-"));
  started = [];
});
afterEach(async () => {
  await Promise.all(started.map(({ thread }) => thread.terminate()));
  await rm(outputFolder, { recursive: true });
});

function requestOf(name: string): CompileRequest {
  const golden = new GoldenModel(name);
  return { request: golden.request("train"), weights: readWeightPlaces(golden.weightsFile), outputFolder };
}

/** Starts a thread and counts what it is sent. */
function watch(start: () => Worker): () => Worker {
  return () => {
    const thread = start();
    const entry = { thread, requests: 0 };
    const post = thread.postMessage.bind(thread);
    thread.postMessage = (message: unknown) => {
      entry.requests += 1;
      post(message);
    };
    started.push(entry);
    return thread;
  };
}

const startCompiler = watch(() => startThread(new URL("./compiler-program", import.meta.url)));

/** A thread that answers with the request's family, at once. */
const startEcho = watch(
  () =>
    new Worker(
      `const { parentPort } = require("node:worker_threads");
       parentPort.on("message", ({ request }) => {
         parentPort.postMessage({ kind: "compiled", artifact: { folder: request.family } });
       });`,
      { eval: true },
    ),
);

test.each(["bert-tiny", "llama-tied"])("%s: the application's timers go on while it is compiled", async (name) => {
  const compiler = new CompilerThread({ start: startCompiler });
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), 1);

  const artifact = await compiler.compile(requestOf(name));
  clearInterval(timer);

  // In this thread there would be a few, one for each access of the disk.
  expect(ticks).toBeGreaterThan(50);
  const elsewhere = join(outputFolder, "elsewhere");
  const expected = await compileArtifact({ ...requestOf(name), outputFolder: elsewhere });
  expect(artifact.manifest).toEqual(expected.manifest);
});

test("an error crosses with its code, and the thread goes on", async () => {
  const compiler = new CompilerThread({ start: startCompiler });
  const request = requestOf("bert-tiny");
  const [missing = ""] = request.weights.keys();
  const weights = new Map([...request.weights].filter(([name]) => name !== missing));

  await expect(compiler.compile({ ...request, weights })).rejects.toMatchObject({
    name: "FedLoraError",
    code: "artifact-invalid",
    message: expect.stringContaining(missing),
  });

  expect((await compiler.compile(request)).manifest.graphFile).toBe("step.onnx");
  expect(started).toHaveLength(1);
});

test("equal requests at once are compiled once, others one after the other in one thread", async () => {
  const compiler = new CompilerThread({ start: startCompiler });
  const names = ["bert-tiny", "bert-tiny", "llama-tied", "bert-tiny"];

  const [first, second, other, third] = await Promise.all(names.map((name) => compiler.compile(requestOf(name))));

  expect([second, third]).toEqual([first, first]);
  expect(other?.folder).not.toBe(first?.folder);
  expect(started.map(({ requests }) => requests)).toEqual([2]);
  expect(await readdir(outputFolder)).toHaveLength(2);
});

test("what is compiled already starts no thread", async () => {
  const expected = await compileArtifact(requestOf("bert-tiny"));
  const compiler = new CompilerThread({ start: startCompiler });

  const found = await compiler.compile(requestOf("bert-tiny"));

  expect(found).toEqual(expected);
  expect(started).toEqual([]);
});

test("an idle thread ends, and the next graph starts another", async () => {
  const compiler = new CompilerThread({ start: startEcho, idleMs: 1 });
  await compiler.compile(requestOf("bert-tiny"));
  await once(started[0]!.thread, "exit");

  const { folder } = await compiler.compile(requestOf("llama-tied"));

  expect(folder).toBe("llama");
  expect(started).toHaveLength(2);
});

test.each([
  ["process.exit(3)", "exit code 3"],
  ["throw new Error('no memory')", "no memory"],
])("a thread that dies (%s) fails the graph that waits, not the next", async (program, reason) => {
  const dying = watch(() => new Worker(program, { eval: true }));
  const compiler = new CompilerThread({ start: () => (started.length === 0 ? dying() : startEcho()) });

  const [died, next] = await Promise.allSettled(
    ["bert-tiny", "llama-tied"].map((name) => compiler.compile(requestOf(name))),
  );

  expect(died).toMatchObject({
    reason: { name: "FedLoraError", code: "engine-failed", message: expect.stringContaining(reason) },
  });
  expect(next).toMatchObject({ status: "fulfilled", value: { folder: "llama" } });
});

test("without TensorFlow.js the error says so", async () => {
  const start = watch(() => startThread(new URL("../testing/compiler-without-tfjs", import.meta.url)));

  await expect(new CompilerThread({ start }).compile(requestOf("bert-tiny"))).rejects.toMatchObject({
    name: "FedLoraError",
    code: "engine-unavailable",
    message: expect.stringContaining("@tensorflow/tfjs"),
  });
});
