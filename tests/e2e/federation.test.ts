import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { fedlora, RunningCommand } from "./processes.js";

/** A tiny BERT with its tokenizer: the processes are real, the model is small. */
const model = fileURLToPath(new URL("../../testdata/peft/bert/base", import.meta.url));
const members = ["ada", "brendan"];

let folder: string;
let specFile: string;
let manifestFile: string;
const running: RunningCommand[] = [];

const start = (...args: string[]): RunningCommand => {
  const command = new RunningCommand(args);
  running.push(command);
  return command;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-e2e-"));
  manifestFile = join(folder, "model.json");
  const inspected = await fedlora("model", "inspect", model, "--json", "--out", manifestFile);
  expect(inspected.stderr).toBe("");
  const { hash } = JSON.parse(inspected.stdout) as { hash: string };
  const spec = {
    name: "tiny",
    model: { hash },
    task: { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 32 },
    adapter: { rank: 2, targetModules: ["query", "value"] },
    rounds: 3,
    cohort: { size: 2, quorum: 2 },
    training: { localSteps: 20, batchSize: 4, optimizer: { learningRate: 0.01 } },
  };
  specFile = join(folder, "spec.json");
  await writeFile(specFile, JSON.stringify(spec));
  for (const [index, name] of members.entries()) {
    await mkdir(join(folder, name), { recursive: true });
    const words = ["free money offer now", "the kernel build fails here", "win a prize today", "see you at lunch"];
    const rows = Array.from({ length: 24 }, (_, row) => {
      return JSON.stringify({ text: `${words[row % 4]!} ${row + index}`, label: row % 2 === 0 ? "spam" : "ham" });
    });
    await writeFile(join(folder, name, "train.jsonl"), rows.join("\n"));
  }
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((command) => command.end("SIGKILL")));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function serve(
  storage: string,
  listen = "127.0.0.1:0",
): Promise<{ coordinator: RunningCommand; address: string; http: string }> {
  const coordinator = start(
    "serve",
    `--listen=${listen}`,
    "--http=127.0.0.1:0",
    `--storage=${storage}`,
    `--model=${manifestFile}`,
  );
  const line = await coordinator.line((value) => "listening" in value);
  return { coordinator, address: String(line["listening"]), http: String(line["http"]) };
}

const joinRun = (name: string, address: string, states: string): RunningCommand =>
  start(
    "client",
    "--json",
    `--coordinator=${address}`,
    `--model=${model}`,
    `--data=${join(folder, name, "train.jsonl")}`,
    `--evaluation=${join(folder, name, "train.jsonl")}`,
    `--state=${join(folder, states, name)}`,
    "--engine=onnxruntime-cpu",
    "--threads=1",
  );

async function createRun(address: string): Promise<string> {
  const created = await fedlora("run", "create", specFile, "--json", "-c", address, "--key", "the-same-run");
  expect(created.code, created.stderr).toBe(0);
  return (JSON.parse(created.stdout) as { runId: string }).runId;
}

async function finalAdapter(run: string, address: string): Promise<string> {
  const shown = await fedlora("run", "show", run, "--json", "-c", address);
  const detail = JSON.parse(shown.stdout) as {
    summary: { state: string; reason: string };
    globalAdapter: { id: string };
  };
  expect(detail.summary.state, detail.summary.reason).toBe("completed");
  return detail.globalAdapter.id;
}

test("a coordinator killed in the middle of round 2 ends with the same adapter, bit for bit", async () => {
  // Without the kill.
  const calm = await serve(join(folder, "storage-calm"));
  const run = await createRun(calm.address);
  const calmClients = members.map((name) => joinRun(name, calm.address, "states-calm"));
  for (const client of calmClients) expect(await client.exited, client.stderr).toBe(0);
  const expected = await finalAdapter(run, calm.address);

  // With it: the same members (the same keys), the same run.
  for (const name of members) {
    await mkdir(join(folder, "states-killed", name), { recursive: true });
    await cp(join(folder, "states-calm", name, "identity.pem"), join(folder, "states-killed", name, "identity.pem"));
  }
  const storage = join(folder, "storage-killed");
  const first = await serve(storage);
  expect(await createRun(first.address)).toBe(run);
  const clients = members.map((name) => joinRun(name, first.address, "states-killed"));
  await Promise.race(
    clients.map((client) =>
      client.line(({ type, round, step }) => type === "progress" && round === 2 && Number(step) > 2),
    ),
  );
  await first.coordinator.end("SIGKILL");
  const second = await serve(storage, first.address);
  for (const client of clients) expect(await client.exited, client.stderr).toBe(0);

  expect(await finalAdapter(run, second.address)).toBe(expected);
  // No member trained a plan twice or lost one: three training receipts each.
  for (const client of clients) {
    const trained = client.lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ type }) => type === "plan");
    const plans = new Set(trained.map((event) => (event["plan"] as { planId: string }).planId));
    expect(plans.size).toBe(6);
  }
});

test("a run is watched, exported and metered, and SIGTERM ends the coordinator with code 0", async () => {
  const { coordinator, address, http } = await serve(join(folder, "storage-ops"));
  const run = await createRun(address);
  const clients = members.map((name) => joinRun(name, address, "states-ops"));
  const watch = start("run", "watch", run, "--json", "-c", address);
  for (const client of clients) expect(await client.exited, client.stderr).toBe(0);
  expect(await watch.exited).toBe(0);
  expect(watch.lines.length).toBeGreaterThan(6);

  const out = join(folder, "adapter");
  const exported = await fedlora("export", run, "--out", out, "-c", address);
  expect(exported.code, exported.stderr).toBe(0);
  const config = JSON.parse(await readFile(join(out, "adapter_config.json"), "utf8")) as Record<string, unknown>;
  expect(config).toMatchObject({ peft_type: "LORA", r: 2, task_type: "SEQ_CLS" });

  const metrics = await (await fetch(`http://${http}/metrics`)).text();
  expect(metrics).toMatch(/fedlora_\w*updates?\w*accepted\w*(\{[^}]*\})? 6/);
  expect((await fetch(`http://${http}/healthz`)).status).toBe(200);
  expect((await fetch(`http://${http}/readyz`)).status).toBe(200);
  await coordinator.end("SIGTERM");
  expect(coordinator.child.exitCode).toBe(0);
});
