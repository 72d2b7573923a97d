import { noopLogger, type BlobId, type RunId } from "@fedlora/core";
import { afterEach, expect, test } from "vitest";
import { startHttpServer } from "./http-server.js";
import { createMetrics } from "./metrics.js";
import { withRunLog } from "./run-log.js";

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const run = "run-1" as RunId;
const summary = {
  round: 1,
  planned: 4,
  accepted: 3,
  refused: 1,
  declined: 0,
  dropouts: 0,
  trainLoss: 0.25,
  evaluation: { count: 10, loss: 0.125, accuracy: 1, f1: 1, confusion: [] },
  bytesUp: 1,
  bytesDown: 2,
  durationMs: 5000,
  adapterBlobId: "a".repeat(64) as BlobId,
  methodMetrics: {},
};

function metricsOf(openUploads = 0): ReturnType<typeof createMetrics> {
  const metrics = createMetrics({ openUploads: () => openUploads, journalSequence: () => 42 });
  open.push(() => metrics.close());
  return metrics;
}

test("what happens in a round is counted", async () => {
  const { hooks, registry } = metricsOf(3);

  hooks.onRoundStarted(run, 1, 4);
  hooks.onUpdateAccepted(run, 100);
  hooks.onUpdateRefused(run, "update-not-finite");
  hooks.onUpdateRefused(run, "update-not-finite");
  hooks.onBytes(run, "up", 100);
  hooks.onRoundCommitted(run, summary);
  hooks.onRoundEvaluated(run, summary);
  hooks.onPrivacy(run, { epsilonSpent: 1.5, epsilonBudget: undefined, noiseMultiplier: 2, clipNorm: 0.5 });
  const text = await registry.metrics();

  for (const line of [
    "fedlora_privacy_epsilon_spent 1.5",
    "fedlora_privacy_epsilon_budget +Inf",
    "fedlora_privacy_noise_multiplier 2",
    "fedlora_privacy_clip_norm 0.5",
    "fedlora_rounds_started_total 1",
    "fedlora_cohort_size 4",
    "fedlora_updates_accepted_total 1",
    'fedlora_updates_refused_total{code="update-not-finite"} 2',
    'fedlora_transfer_bytes_total{direction="up"} 100',
    'fedlora_transfer_bytes_total{direction="down"} 0',
    "fedlora_round_duration_seconds_sum 5",
    "fedlora_train_loss 0.25",
    "fedlora_evaluation_loss 0.125",
    "fedlora_uploads_open 3",
    "fedlora_journal_sequence 42",
  ]) {
    expect(text.split("\n")).toContain(line);
  }
  expect(text).toMatch(/^fedlora_event_loop_lag_seconds \d/m);
});

test("what happens in a run is logged with run and round, and still counted", async () => {
  const lines: object[] = [];
  const write = (fields: object): number => lines.push(fields);
  const { hooks, registry } = metricsOf();
  const logged = withRunLog(hooks, { ...noopLogger, info: write, warn: write });

  logged.onRoundStarted?.(run, 1, 4);
  logged.onUpdateRefused?.(run, "update-shape");
  logged.onRoundCommitted?.(run, summary);
  logged.onRoundEvaluated?.(run, summary);
  logged.onRunState?.(run, "completed");

  expect(lines).toMatchObject([
    { runId: run, round: 1, cohortSize: 4 },
    { runId: run, code: "update-shape" },
    { runId: run, round: 1, accepted: 3, trainLoss: 0.25 },
    { runId: run, round: 1, loss: 0.125, f1: 1 },
    { runId: run, state: "completed" },
  ]);
  const text = await registry.metrics();
  for (const line of [
    "fedlora_rounds_started_total 1",
    'fedlora_updates_refused_total{code="update-shape"} 1',
    "fedlora_rounds_committed_total 1",
    "fedlora_evaluation_loss 0.125",
    'fedlora_run_transitions_total{state="completed"} 1',
  ]) {
    expect(text.split("\n")).toContain(line);
  }
});

test("labels are from a closed set: no client, no run", async () => {
  const { hooks, registry } = metricsOf();
  hooks.onRunState(run, "running");
  hooks.onPlanDeclined(run, "anything a client wrote");

  const labels = [...(await registry.metrics()).matchAll(/[{,](\w+)="/g)].map(([, name]) => name);

  expect(new Set(labels)).toEqual(new Set(["state", "direction", "le"]));
});

test("two coordinators in one process do not share metrics", async () => {
  const [first, second] = [metricsOf(), metricsOf()];

  first.hooks.onUpdateAccepted(run, 1);

  expect(await second.registry.metrics()).toContain("fedlora_updates_accepted_total 0");
});

test("health is about the process, readiness about the work", async () => {
  const reasons: string[] = [];
  const server = await startHttpServer({
    host: "127.0.0.1",
    port: 0,
    registry: metricsOf().registry,
    notReady: () => Promise.resolve(reasons[0]),
    logger: noopLogger,
  });
  open.push(() => server.close());
  const get = async (path: string): Promise<[number, string]> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return [response.status, await response.text()];
  };

  expect(await get("/healthz")).toEqual([200, "ok\n"]);
  expect(await get("/readyz")).toEqual([200, "ready\n"]);
  reasons.push("draining");
  expect(await get("/readyz")).toEqual([503, "draining\n"]);
  expect((await get("/healthz"))[0]).toBe(200);
  expect((await get("/metrics"))[1]).toContain("fedlora_journal_sequence 42");
  expect((await get("/other"))[0]).toBe(404);
  expect((await fetch(`http://127.0.0.1:${server.port}/metrics`, { method: "POST" })).status).toBe(405);
});

test("an address that is taken is a configuration error", async () => {
  const options = {
    host: "127.0.0.1",
    registry: metricsOf().registry,
    notReady: () => Promise.resolve(undefined),
    logger: noopLogger,
  };
  const server = await startHttpServer({ ...options, port: 0 });
  open.push(() => server.close());

  await expect(startHttpServer({ ...options, port: server.port })).rejects.toMatchObject({ code: "config-invalid" });
});
