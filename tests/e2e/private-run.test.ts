import { type ClientEvent, FederatedClient, privacySpent, readPrivacyLedger } from "@fedlora/client-sdk";
import { compileRunSpec, type RunSpecInput } from "@fedlora/core";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { model, openTinyFederation, type TinyFederation } from "./tiny-federation.js";

const members = ["ada", "brendan"];
const numExamples = 40;
const delta = 1e-3;

let federation: TinyFederation;
let folder: string;
let coordinator: TinyFederation["coordinator"];
let workbench: TinyFederation["workbench"];

beforeAll(async () => {
  federation = await openTinyFederation("private");
  ({ folder, coordinator, workbench } = federation);
});

afterAll(() => federation.close());

/** Two members with forty examples each take part in a run of two rounds, each followed by an evaluation. */
async function federate(name: string, changes: Partial<RunSpecInput>) {
  const { admin } = coordinator.service;
  const { hash } = workbench.baseModel.manifest;
  const spec = compileRunSpec({
    name,
    model: { hash },
    task: { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 16 },
    adapter: { rank: 2, targetModules: ["query", "value"], dropout: 0.1 },
    method: { name: "fedavg" },
    rounds: 2,
    cohort: { size: 2 },
    evaluation: { every: 1 },
    training: { localSteps: 3, batchSize: 4, gradientAccumulation: 2, optimizer: { learningRate: 0.01 } },
    ...changes,
  });
  const { runId } = (await admin.createRun(`key-${name}`, spec)).summary;
  const { trainer } = workbench;
  const events: ClientEvent[] = [];
  const stateFolders = members.map((member) => join(folder, "states", runId, member));
  await Promise.all(
    members.map(async (member, index) => {
      const examples = Array.from({ length: numExamples }, (_, row) => ({
        text: `${row % 2 === 0 ? "free money" : "the kernel"} ${member} ${row}`,
        label: row % 2 === 0 ? "spam" : "ham",
      }));
      const client = new FederatedClient({
        coordinator: coordinator.address,
        name: member,
        baseModel: model,
        stateFolder: stateFolders[index]!,
        data: { name: member, train: () => examples, evaluation: () => examples },
        trainer: {
          train: trainer.train.bind(trainer),
          evaluate: trainer.evaluate.bind(trainer),
          close: () => Promise.resolve(),
        },
        baseModelHash: hash,
        runId,
        // More than two rounds cost, so that the policy is asked and lets them pass.
        policy: { privacy: { require: ["example", "local", "client"], maxEpsilon: 1000, delta } },
        retry: { baseDelayMs: 20, maxDelayMs: 200 },
      });
      for await (const event of client.run()) events.push(event);
      await client.close();
    }),
  );
  return { detail: await admin.getRun(runId), events, stateFolders };
}

const shared = { noiseMultiplier: 1, clipNorm: 0.5, delta, metricsNoise: 2 } as const;
const modes: Readonly<Record<string, Partial<RunSpecInput>>> = {
  example: { privacy: { mode: "example", ...shared, minExamples: 20 } },
  local: { privacy: { mode: "local", ...shared } },
  client: {
    privacy: { mode: "client", ...shared, population: 2 },
    weighting: { kind: "by-examples", maxExamples: 30 },
  },
};

test.each(Object.keys(modes))(
  "mode %s: two rounds are trained, evaluated, and entered in every ledger",
  async (mode) => {
    const { detail, events, stateFolders } = await federate(mode, modes[mode]!);

    expect(events.filter(({ type }) => type === "declined" || type === "refused")).toEqual([]);
    expect(detail.summary.state).toBe("completed");
    expect(detail.rounds.map(({ accepted }) => accepted)).toEqual([2, 2]);
    for (const [index, stateFolder] of stateFolders.entries()) {
      const entries = await readPrivacyLedger(stateFolder);
      const shown = entries.map((entry) => `${entry.kind} ${entry.mode} ${entry.state}`);
      expect(shown.filter((text) => text === `train ${mode} spent`)).toHaveLength(2);
      expect(shown.filter((text) => text === `evaluate ${mode} spent`).length).toBeGreaterThan(0);
      const [spent] = privacySpent(entries, delta);
      expect(spent?.dataSet).toBe(members[index]);
      expect(spent?.bound.epsilon).toBeGreaterThan(0);
      expect(spent?.bound.epsilon).toBeLessThan(Infinity);
    }
  },
);
