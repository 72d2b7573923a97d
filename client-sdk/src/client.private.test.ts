import { FedLoraError, noopLogger, type PlanPrivacy, toFloat32, trainingSchema } from "@fedlora/core";
import { appendFile, cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { OwnerPolicy } from "./client/options.js";
import { readPrivacyLedger } from "./privacy/ledger-file.js";
import { privacySpent } from "./privacy/owner-privacy.js";
import { createClientHarness, type ClientHarness, type HarnessOptions } from "./testing/client-harness.js";
import { fakeRole, filledState } from "./testing/fake-plan.js";
import { dataOf, openTinyWorkbench, trainEverything } from "./testing/tiny-models.js";

const opened: ClientHarness[] = [];
afterEach(async () => {
  for (const harness of opened.splice(0)) await harness.dispose();
});

const shared = { noiseMultiplier: 4, clipNorm: 1, delta: 1e-5 };
const modes: Readonly<Record<PlanPrivacy["mode"], PlanPrivacy>> = {
  example: { mode: "example", ...shared, clipping: "flat", minExamples: 100 },
  client: { mode: "client", ...shared },
  local: { mode: "local", ...shared },
};
const training = trainingSchema.parse({ localSteps: 3, batchSize: 10 });
const size = 4;

async function open(privacy: PlanPrivacy | undefined, options: HarnessOptions = {}): Promise<ClientHarness> {
  const harness = await createClientHarness({
    ...options,
    coordinator: { initial: filledState({ b: [0, [size]] }), ...options.coordinator },
    instructions: { roles: [fakeRole("b", [size])], training, privacy, ...options.instructions },
  });
  opened.push(harness);
  return harness;
}

/** Runs until the first plan is declined; what the coordinator heard of it. */
async function declined(harness: ClientHarness, policy: OwnerPolicy): Promise<{ code: string; reason: string }> {
  harness.fake.onCall = ({ method, when }) => {
    if (method === "decline" && when === "after") harness.fake.closeRound();
  };
  await harness.run({ policy });
  expect(harness.fake.accepted).toEqual([]);
  return harness.fake.declined[0]!;
}

describe.each(["example", "client", "local"] as const)("mode %s", (mode) => {
  test("nothing but the update leaves: no loss, one example, no time, no progress that the plan did not fix", async () => {
    const harness = await open(modes[mode], { coordinator: { rounds: 2 } });

    await harness.run({ reportIntervalMs: 1 });

    const [accepted] = harness.fake.accepted;
    expect(accepted?.metrics).toEqual({
      numExamples: 1,
      numSteps: 3,
      trainLoss: undefined,
      evaluation: undefined,
      trainMs: 0,
    });
    expect(harness.fake.reports.length).toBeGreaterThan(0);
    for (const { loss, capability } of harness.fake.reports) {
      expect(loss).toBeNaN();
      expect(capability!.stepMs).toBeUndefined();
    }
    // The owner sees how training goes.
    expect(harness.seen("progress").some(({ loss }) => loss > 0)).toBe(true);
  });

  test("the ledger holds what was released before the update left, and survives a restart", async () => {
    const harness = await open(modes[mode], { coordinator: { rounds: 2 } });
    const states: (string | undefined)[] = [];
    harness.fake.onCall = async ({ method, when }) => {
      if (method !== "beginUpload" || when === "after") return;
      states.push((await readPrivacyLedger(harness.folder)).at(-1)?.state);
    };

    await harness.run();

    const client = harness.start();
    const entries = await client.privacyLedger();
    await client.close();
    expect(states).toEqual(["spent", "spent"]);
    expect(entries.map(({ dataSet, round, kind, state }) => [dataSet, round, kind, state])).toEqual([
      ["mail", 1, "train", "spent"],
      ["mail", 2, "train", "spent"],
    ]);
    expect(entries[0]).toMatchObject({ mode, runId: harness.fake.runId, coordinator: "127.0.0.1:1" });
    const [spent] = privacySpent(entries, 1e-5);
    expect(spent?.bound.epsilon).toBeGreaterThan(0);
    expect(spent?.bound.epsilon).toBeLessThan(Infinity);
  });

  test("an evaluation without noise on its counts is declined before any data is touched", async () => {
    const harness = await open(modes[mode], { coordinator: { evaluate: true } });
    harness.fake.onCall = ({ method, when }) => {
      if (method === "decline" && when === "after") harness.fake.closeRound();
    };

    await harness.run();

    expect(harness.fake.declined).toMatchObject([{ code: "privacy-unbounded" }]);
    expect(harness.trainer.evaluated).toEqual([]);
  });
});

test("without fixed steps their number is not told either", async () => {
  const epochs = trainingSchema.parse({ localEpochs: 2 });
  const harness = await open(modes.local, { instructions: { training: epochs } });

  await harness.run({ reportIntervalMs: 1 });

  expect(harness.fake.accepted[0]?.metrics.numSteps).toBe(0);
  for (const { step, totalSteps } of harness.fake.reports) expect([step, totalSteps]).toEqual([0, 0]);
});

test("where the plan counts examples, no more than it allows are told", async () => {
  const harness = await open({ mode: "client", ...shared, maxExamples: 7 });

  await harness.run();

  expect(harness.fake.accepted[0]?.metrics.numExamples).toBe(7);
});

test("mode client sends a clipped update, mode local a noised one", async () => {
  const sentBy = async (mode: "client" | "local"): Promise<number[]> => {
    const harness = await open(modes[mode]);
    await harness.run({ insecureNoiseSeed: 1 });
    return [...toFloat32(harness.fake.accepted[0]!.update!.get("b")!)];
  };

  // The fake trainer adds 1 to each of four values.
  expect(await sentBy("client")).toEqual([0.5, 0.5, 0.5, 0.5]);
  const noised = await sentBy("local");
  expect(Math.hypot(...noised.map((value) => value - 0.5))).toBeGreaterThan(1);
  expect(await sentBy("local")).toEqual(noised);
});

describe("a seed for the noise", () => {
  test("is warned of in every round of a private run, and in no other", async () => {
    for (const [privacy, expected] of [
      [modes.local, 2],
      [undefined, 0],
    ] as const) {
      const warnings: string[] = [];
      const logger = { ...noopLogger, warn: (_: object, message: string) => void warnings.push(message) };
      const harness = await open(privacy, { coordinator: { rounds: 2 } });

      await harness.run({ logger, insecureNoiseSeed: 5 });

      expect(warnings.filter((message) => message.includes("NOT PRIVATE"))).toHaveLength(expected);
    }
  });

  test("must be a whole number", async () => {
    const harness = await open(undefined);

    expect(() => harness.start({ insecureNoiseSeed: -1 })).toThrow(expect.objectContaining({ code: "config-invalid" }));
  });
});

describe("the owner's policy", () => {
  test("declines a mode that is not private enough, before anything is trained", async () => {
    const harness = await open(undefined);

    const answer = await declined(harness, { privacy: { require: ["example", "local"] } });

    expect(answer).toMatchObject({ code: "policy-declined" });
    expect(answer.reason).toContain("example, local");
    expect(harness.trainer.trained).toEqual([]);
  });

  test("lets rounds through until the budget is spent; what was spent stays on this machine", async () => {
    const harness = await open(modes.local, { coordinator: { rounds: 5 } });
    harness.fake.onCall = ({ method, when }) => {
      if (method === "decline" && when === "after") harness.fake.closeRound();
    };
    const one = privacySpent(
      [
        {
          dataSet: "mail",
          state: "spent",
          events: [{ mechanism: { kind: "gaussian", noiseMultiplier: 4 }, count: 3 }],
        },
      ] as never,
      1e-5,
    )[0]!.bound.epsilon;

    await harness.run({ policy: { privacy: { maxEpsilon: one * 1.0001, delta: 1e-5 } } });

    expect(harness.fake.accepted).toHaveLength(3);
    expect(harness.fake.declined.map(({ code }) => code)).toEqual(["privacy-budget", "privacy-budget"]);
    for (const { reason } of harness.fake.declined) expect(reason).not.toMatch(/\d\.\d/);
    expect(harness.seen("declined")[0]?.reason).toMatch(/from \d.* to \d/);
  });

  test("with a limit, a run without privacy is declined; after one, everything is", async () => {
    const limit = { privacy: { maxEpsilon: 100, delta: 1e-5 } };
    const refused = await open(undefined);
    expect(await declined(refused, limit)).toMatchObject({ code: "privacy-budget" });
    expect(await readPrivacyLedger(refused.folder)).toEqual([]);

    const unbounded = await open(undefined, { coordinator: { rounds: 3 } });
    await unbounded.run();
    const entries = await readPrivacyLedger(unbounded.folder);
    expect(entries.map(({ mode, state }) => [mode, state])).toEqual([["none", "spent"]]);
    const later = await open(modes.local, { coordinator: { runId: "run-2" } });
    await cp(join(unbounded.folder, "privacy-ledger.jsonl"), join(later.folder, "privacy-ledger.jsonl"));
    expect(await declined(later, limit)).toMatchObject({ code: "privacy-budget" });
  });
});

describe("a plan from which no guarantee follows is declined before any data is touched", () => {
  test.each<[string, HarnessOptions["instructions"], string]>([
    ["sampling rate above 1", { training: trainingSchema.parse({ localSteps: 1, batchSize: 101 }) }, "privacy-invalid"],
    ["epochs", { training: trainingSchema.parse({ localEpochs: 1 }) }, "privacy-invalid"],
    ["received-loss", { directives: [{ kind: "received-loss", version: 1, examples: 3 }] }, "privacy-unbounded"],
    ["no noise", { privacy: { ...modes.example, noiseMultiplier: 0 } }, "request-invalid"],
    ["a delta of 1", { privacy: { ...modes.example, delta: 1 } }, "request-invalid"],
  ])("%s", async (_, instructions, code) => {
    const harness = await open(modes.example, instructions === undefined ? {} : { instructions });

    const answer = await declined(harness, {});

    expect(answer.code).toBe(code);
    expect(harness.trainer.trained).toEqual([]);
    expect(await readPrivacyLedger(harness.folder)).toEqual([]);
  });
});

describe("the ledger through failures", () => {
  test("killed while training, what was reserved counts; the next start pays again", async () => {
    const copy = await mkdtemp(join(tmpdir(), "fedlora-killed-"));
    const kill = new AbortController();
    const harness = await open(modes.local, {
      trainer: {
        onStep: async (step) => {
          if (step !== 2 || kill.signal.aborted) return;
          await cp(harness.folder, copy, { recursive: true, filter: (path) => !path.endsWith("lock") });
          kill.abort();
        },
      },
    });
    await harness.run({}, kill.signal);
    // Told to stop in time, the first client took its reservation back; the killed one could not.
    expect((await readPrivacyLedger(harness.folder)).map(({ state }) => state)).toEqual(["withdrawn"]);

    await harness.run({ stateFolder: copy });

    expect((await readPrivacyLedger(copy)).map(({ state }) => state)).toEqual(["reserved", "spent"]);
    await rm(copy, { recursive: true });
  });

  test.each([
    ["data-invalid", "withdrawn"],
    ["update-not-finite", "spent"],
  ] as const)("training that fails with %s leaves the entry %s", async (code, state) => {
    const harness = await open(modes.example, {
      trainer: { onStep: () => Promise.reject(new FedLoraError(code, "secret words of the data")) },
    });

    const answer = await declined(harness, {});

    expect(answer).toMatchObject({ code });
    expect(answer.reason).not.toContain("secret");
    expect((await readPrivacyLedger(harness.folder)).map((entry) => entry.state)).toEqual([state]);
  });

  test("a damaged ledger stops the client, and is not begun anew", async () => {
    const harness = await open(modes.local);
    await harness.run();
    await appendFile(join(harness.folder, "privacy-ledger.jsonl"), "{}\n");

    await expect(harness.run()).rejects.toMatchObject({ code: "file-invalid" });
  });
});

test("DP-SGD through a coordinator: real steps, the real rate in the ledger, a warning of too large a delta", async () => {
  const bert = await openTinyWorkbench("bert");
  try {
    const examples = Array.from({ length: 40 }, (_, i) => ({ text: "free money now", label: i % 3 }));
    const adapter = await bert.readAdapter("plain");
    const privacy = { ...modes.example, delta: 0.1, minExamples: 16, metricsNoise: 2 } as PlanPrivacy;
    const instructions = trainEverything(
      adapter,
      { localSteps: 3, batchSize: 4, gradientAccumulation: 2, optimizer: { learningRate: 0.01 } },
      { privacy },
    );
    const harness = await createClientHarness({
      coordinator: { initial: adapter.tensors, baseModelHash: bert.baseModel.manifest.hash, rounds: 2, evaluate: true },
      instructions,
    });
    opened.push(harness);
    const { trainer } = bert;

    await harness.run({
      trainer: { ...bindTrainer(trainer), close: () => Promise.resolve() },
      baseModelHash: bert.baseModel.manifest.hash,
      data: dataOf(examples, examples),
    });

    const rate = { kind: "sampled-gaussian", noiseMultiplier: 4, samplingRate: 8 / 40 };
    const noise = { kind: "gaussian", noiseMultiplier: 2 };
    const entries = await readPrivacyLedger(harness.folder);
    expect(entries.map(({ kind, events }) => [kind, events])).toEqual(
      [1, 2].flatMap(() => [
        ["train", [{ mechanism: rate, count: 3 }]],
        ["evaluate", [{ mechanism: noise, count: 1 }]],
      ]),
    );
    const told = harness.fake.accepted.map(({ metrics }) => metrics);
    expect(told.map(({ numExamples, trainLoss }) => [numExamples, trainLoss])).toEqual(told.map(() => [1, undefined]));
    const evaluated = harness.seen("evaluated").map(({ counts }) => counts);
    expect(told.flatMap(({ evaluation }) => evaluation ?? [])).toEqual(evaluated);
    // 40 examples with noise of deviation 2.8 in each of nine cells: the same total twice would be a wonder.
    expect(new Set(evaluated.map(({ lossSum }) => lossSum)).size).toBe(2);
    expect(harness.seen("warning").map(({ code, round }) => [code, round])).toEqual([
      ["privacy-invalid", 1],
      ["privacy-invalid", 2],
    ]);
  } finally {
    await bert.remove();
  }
});

/** The methods of a class instance do not spread. */
function bindTrainer(trainer: Awaited<ReturnType<typeof openTinyWorkbench>>["trainer"]) {
  return {
    train: trainer.train.bind(trainer),
    evaluate: trainer.evaluate.bind(trainer),
  };
}

test("an evaluation of which the noise leaves nothing is sent and counted as any other", async () => {
  const nothing = { count: 0, lossSum: 0, confusion: [0, 0, 0, 0] };
  const harness = await open({ ...modes.local, metricsNoise: 1 }, { coordinator: { evaluate: true } });
  harness.trainer.evaluate = () => Promise.resolve(nothing);

  await harness.run();

  expect(harness.fake.declined).toEqual([]);
  expect(harness.fake.accepted.at(-1)?.metrics).toMatchObject({ numExamples: 1, evaluation: nothing });
  expect((await readPrivacyLedger(harness.folder)).map(({ kind, state }) => [kind, state])).toEqual([
    ["train", "spent"],
    ["evaluate", "spent"],
  ]);
});
