import { privacySpent, readPrivacyLedger } from "@fedlora/client-sdk";
import type { RunSpecInput } from "@fedlora/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TinyFederation, type Mail } from "./tiny-federation.js";

const members = ["ada", "brendan"];
const numExamples = 40;
const delta = 1e-3;

let federation: TinyFederation;
beforeAll(async () => {
  federation = await TinyFederation.open("private");
});
afterAll(() => federation.close());

const mailOf = (index: number): readonly Mail[] =>
  Array.from({ length: numExamples }, (_, row) => ({
    text: `${row % 2 === 0 ? "free money" : "the kernel"} ${members[index]!} ${row}`,
    label: row % 2 === 0 ? "spam" : "ham",
  }));

/** Two members with forty examples each take part in a run of two rounds, each followed by an evaluation. */
async function federate(name: string, changes: Partial<RunSpecInput>) {
  const spec = federation.spec({
    name,
    adapter: { rank: 2, targetModules: ["query", "value"], dropout: 0.1 },
    rounds: 2,
    cohort: { size: 2 },
    evaluation: { every: 1 },
    training: { localSteps: 3, batchSize: 4, gradientAccumulation: 2, optimizer: { learningRate: 0.01 } },
    ...changes,
  });
  // More than two rounds cost, so that the policy is asked and lets them pass.
  const policy = { privacy: { require: ["example", "local", "client"], maxEpsilon: 1000, delta } } as const;
  const run = await federation.train(spec, members, mailOf, () => ({ policy }));
  return { ...run, stateFolders: members.map((member) => federation.stateFolder(run.runId, member)) };
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
    const { detail, failures, stateFolders } = await federate(mode, modes[mode]!);

    expect(failures).toEqual([]);
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
