import { FederatedClient } from "@fedlora/client-sdk";
import { clientControlName, compileRunSpec, readSafetensors, toFloat32, type RunSpecInput } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { model, openTinyFederation, type TinyFederation } from "./tiny-federation.js";

const members = ["ada", "brendan"];
const rate = 0.05;

let federation: TinyFederation;
let folder: string;
let coordinator: TinyFederation["coordinator"];
let workbench: TinyFederation["workbench"];

beforeAll(async () => {
  federation = await openTinyFederation("options");
  ({ folder, coordinator, workbench } = federation);
});

afterAll(() => federation.close());

async function federate(name: string, changes: Partial<RunSpecInput>) {
  const { admin } = coordinator.service;
  const { hash } = workbench.baseModel.manifest;
  const spec = compileRunSpec({
    name,
    model: { hash },
    task: { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 16 },
    adapter: { rank: 2, targetModules: ["query", "value"] },
    method: { name: "fedavg" },
    rounds: 2,
    cohort: { size: 2, quorum: 2 },
    ...changes,
  });
  const { runId } = (await admin.createRun(`key-${name}`, spec)).summary;
  const { trainer } = workbench;
  const declined: string[] = [];
  const stateFolders = members.map((member) => join(folder, "states", runId, member));
  await Promise.all(
    members.map(async (member, index) => {
      const examples = Array.from({ length: 8 }, (_, row) => ({
        text: `${row % 2 === 0 ? "free money" : "the kernel"} ${member} ${row}`,
        label: (row + index) % 2 === 0 ? "spam" : "ham",
      }));
      const client = new FederatedClient({
        coordinator: coordinator.address,
        name: member,
        baseModel: model,
        stateFolder: stateFolders[index]!,
        data: { name: member, train: () => examples, evaluation: () => examples.slice(0, 2) },
        trainer: {
          train: trainer.train.bind(trainer),
          evaluate: trainer.evaluate.bind(trainer),
          close: () => Promise.resolve(),
        },
        baseModelHash: hash,
        runId,
        retry: { baseDelayMs: 20, maxDelayMs: 200 },
      });
      for await (const event of client.run()) {
        if (event.type === "declined") declined.push(`${event.code}: ${event.reason}`);
      }
      await client.close();
    }),
  );
  return { detail: await admin.getRun(runId), declined, runId, stateFolders };
}

const sgd = { localSteps: 2, batchSize: 4, optimizer: { kind: "sgd", learningRate: rate, weightDecay: 0 } } as const;

test("SCAFFOLD with FedProx and FedAdam: controls go down and up, and stay on the clients", async () => {
  const { detail, declined, runId, stateFolders } = await federate("scaffold", {
    training: { ...sgd, controlVariates: true, proximalMu: 0.1 },
    serverOptimizer: { kind: "fedadam", learningRate: 0.01 },
  });

  expect(declined).toEqual([]);
  expect(detail.summary.state).toBe("completed");
  expect(detail.rounds.map(({ accepted }) => accepted)).toEqual([2, 2]);
  for (const stateFolder of stateFolders) {
    const { tensors } = readSafetensors(await readFile(join(stateFolder, "runs", runId, "trained.safetensors")));
    const trained = [...tensors.keys()].filter((name) => name.startsWith("base_model."));
    expect(trained.length).toBeGreaterThan(0);
    for (const name of trained) expect(tensors.get(clientControlName(name))?.shape).toEqual(tensors.get(name)?.shape);
    const moved = trained.some((name) => toFloat32(tensors.get(clientControlName(name))!).some((value) => value !== 0));
    expect(moved).toBe(true);
  }
});

test.each(["fedavgm", "fedadagrad", "fedyogi"] as const)(
  "%s goes on from its moments, round by round",
  async (kind) => {
    const { detail, declined } = await federate(kind, { training: sgd, serverOptimizer: { kind } });

    expect(declined).toEqual([]);
    expect(detail.summary.state).toBe("completed");
    expect(new Set(detail.rounds.map(({ adapterBlobId }) => adapterBlobId)).size).toBe(2);
  },
);
