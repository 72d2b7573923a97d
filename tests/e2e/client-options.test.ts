import { clientControlName, readSafetensors, toFloat32, type RunSpecInput } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TinyFederation } from "./tiny-federation.js";

const members = ["ada", "brendan"];
const rate = 0.05;

let federation: TinyFederation;
beforeAll(async () => {
  federation = await TinyFederation.open("options");
});
afterAll(() => federation.close());

const federate = (name: string, changes: Partial<RunSpecInput>) =>
  federation.train(federation.spec({ name, rounds: 2, cohort: { size: 2, quorum: 2 }, ...changes }), members);

const sgd = { localSteps: 2, batchSize: 4, optimizer: { kind: "sgd", learningRate: rate, weightDecay: 0 } } as const;

test("SCAFFOLD with FedProx and FedAdam: controls go down and up, and stay on the clients", async () => {
  const { detail, failures, runId } = await federate("scaffold", {
    training: { ...sgd, controlVariates: true, proximalMu: 0.1 },
    serverOptimizer: { kind: "fedadam", learningRate: 0.01 },
  });

  expect(failures).toEqual([]);
  expect(detail.summary.state).toBe("completed");
  expect(detail.rounds.map(({ accepted }) => accepted)).toEqual([2, 2]);
  for (const member of members) {
    const folder = federation.stateFolder(runId, member);
    const { tensors } = readSafetensors(await readFile(join(folder, "runs", runId, "trained.safetensors")));
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
    const { detail, failures } = await federate(kind, { training: sgd, serverOptimizer: { kind } });

    expect(failures).toEqual([]);
    expect(detail.summary.state).toBe("completed");
    expect(new Set(detail.rounds.map(({ adapterBlobId }) => adapterBlobId)).size).toBe(2);
  },
);
