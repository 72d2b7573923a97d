import {
  fromFloat32,
  writeSafetensors,
  type ModelManifest,
  type PlanInstructions,
  type RunSpecInput,
} from "@fedlora/core";
import { noCapability, pollAnswerFromWire, type ReceivedPoll } from "@fedlora/proto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createCoordinator, type Coordinator } from "./app.js";
import { codeOf, TestClient } from "./server/testing/harness.js";

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

const hash = "ab".repeat(32);
const manifest = {
  format: "fedlora-model/1",
  family: "bert",
  name: "tiny",
  hash,
  numLayers: 1,
  numParameters: 128,
  modules: [{ name: "encoder.layer.0.query", kind: "linear", dIn: 8, dOut: 16, layer: 0 }],
  heads: [{ name: "classifier", kind: "linear", dIn: 8, dOut: null }],
  tensors: [{ name: "encoder.layer.0.query.weight", dtype: "F32", shape: [16, 8] }],
} as unknown as ModelManifest;
const spec: RunSpecInput = {
  name: "tiny-run",
  model: { hash },
  task: { kind: "sequence-classification", labels: ["ham", "spam"] },
  adapter: { rank: 2, targetModules: ["query"] },
  rounds: 1,
  cohort: { size: 1 },
  evaluation: { every: 0 },
};

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "fedlora-app-"));
  open.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function start(folder: string, changes: object = {}): Promise<Coordinator> {
  const files = { manifest: join(folder, "manifest.json"), spec: join(folder, "spec.json") };
  writeFileSync(files.manifest, JSON.stringify(manifest));
  writeFileSync(files.spec, JSON.stringify(spec));
  const coordinator = await createCoordinator(
    {
      listen: "127.0.0.1:0",
      http: "127.0.0.1:0",
      storage: join(folder, "storage"),
      models: [files.manifest],
      runs: [files.spec],
      ...changes,
    },
    { tuning: { settleMs: 0, retryMs: 20 } },
  );
  open.push(() => coordinator.close());
  return coordinator;
}

async function poll(client: TestClient, waitMs = 2000): Promise<ReceivedPoll> {
  const request = { waitMs, baseModelHashes: [hash], capability: { ...noCapability, codecs: ["f32"] } };
  const wire = await client.call<Parameters<typeof pollAnswerFromWire>[0]>((done) =>
    client.clients.coordinator.poll(request as never, client.metadata, done),
  );
  return pollAnswerFromWire(wire, client.coordinatorKey);
}

async function planOf(client: TestClient): Promise<Extract<ReceivedPoll, { kind: "plan" }>> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const answer = await poll(client);
    if (answer.kind === "plan") return answer;
  }
  throw new Error("no plan came");
}

/** An update of zeros with one value changed, exactly as the plan's instructions lay it out. */
async function updateFor(client: TestClient, instructionsId: string, change = 0.5): Promise<Uint8Array> {
  const instructions = JSON.parse((await client.getBlob(instructionsId)).toString()) as PlanInstructions;
  const state = instructions.uploadLayout.map(({ name, shape }) => {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    values[0] = change;
    return [name, fromFloat32(values, shape)] as const;
  });
  return writeSafetensors(new Map(state));
}

test("a run from a file goes from enrolment to its last round over real gRPC", async () => {
  const coordinator = await start(newFolder());
  const client = await TestClient.enrolled(coordinator.address);
  open.push(() => client.close());

  const { plan } = await planOf(client);
  const file = await updateFor(client, plan.instructions);
  const receipt = await client.upload(plan.planId, file);

  expect(receipt).toMatchObject({ planId: plan.planId, runId: plan.runId, round: 1, clientId: client.clientId });
  await expect.poll(async () => (await poll(client, 500)).kind, { timeout: 20_000 }).toBe("ended");
  const metrics = await (await fetch(`http://${coordinator.httpAddress!}/metrics`)).text();
  expect(metrics).toContain("fedlora_updates_accepted_total 1");
  expect(metrics).toContain("fedlora_rounds_committed_total 1");
  expect(metrics).toContain(`fedlora_transfer_bytes_total{direction="up"} ${file.byteLength}`);
});

test("a coordinator that restarts in the middle of a round keeps plan, session and upload", async () => {
  const folder = newFolder();
  const before = await start(folder);
  const client = await TestClient.enrolled(before.address);
  const { plan } = await planOf(client);
  const file = await updateFor(client, plan.instructions);
  client.close();
  await before.close();

  const after = await start(folder);
  const again = new TestClient(after.address);
  again.metadata = client.metadata;
  again.coordinatorKey = client.coordinatorKey;
  open.push(() => again.close());

  expect((await planOf(again)).plan.planId).toBe(plan.planId);
  const receipt = await again.upload(plan.planId, file);
  expect(receipt.blobId).not.toBe("");
  expect(await after.service.admin.listRuns()).toHaveLength(1);
});

test("a refused update is shown, and the corrected one counts", async () => {
  const coordinator = await start(newFolder());
  const client = await TestClient.enrolled(coordinator.address);
  open.push(() => client.close());
  const { plan } = await planOf(client);

  const refused = await codeOf(client.upload(plan.planId, await updateFor(client, plan.instructions, Number.NaN)));
  const receipt = await client.upload(plan.planId, await updateFor(client, plan.instructions));

  expect(refused).toBe("update-not-finite");
  expect(receipt.planId).toBe(plan.planId);
  const metrics = await (await fetch(`http://${coordinator.httpAddress!}/metrics`)).text();
  expect(metrics).toContain('fedlora_updates_refused_total{code="update-not-finite"} 1');
});

test("draining: not ready, no new uploads, then everything is closed and free for the next process", async () => {
  const folder = newFolder();
  const coordinator = await start(folder);
  const client = await TestClient.enrolled(coordinator.address);
  open.push(() => client.close());
  expect((await fetch(`http://${coordinator.httpAddress!}/readyz`)).status).toBe(200);

  await coordinator.drain(2000);

  await expect(fetch(`http://${coordinator.httpAddress!}/readyz`)).rejects.toThrow();
  expect((await start(folder)).address).not.toBe("");
});

test("two coordinators cannot share a storage folder, and what cannot start names the reason", async () => {
  const folder = newFolder();
  await start(folder);

  expect(await codeOf(start(folder))).toBe("storage-fenced");
  expect(await codeOf(start(newFolder(), { listen: "0.0.0.0:0" }))).toBe("insecure-refused");
  expect(await codeOf(start(newFolder(), { models: ["/nowhere.json"] }))).toBe("file-missing");
  expect(await codeOf(start(newFolder(), { listen: "127.0.0.1:0", maxUploads: 0 }))).toBe("config-invalid");
});
