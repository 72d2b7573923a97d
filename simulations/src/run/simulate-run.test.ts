import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadData } from "../data/load-data.js";
import type { SimulationData } from "../data/simulation-data.js";
import { linearManifest } from "../linear/linear-model.js";
import { openLinearRoom } from "../linear/open-linear-room.js";
import type { TrainerRoom } from "../runtime/trainer-room.js";
import { parseScenario } from "../scenario/parse-scenario.js";
import { variantSpec } from "../scenario/variant-spec.js";
import type { RunResult } from "./round-row.js";
import { simulateRun } from "./simulate-run.js";

const manifest = linearManifest(20, 4);
let data: SimulationData;
let inline: TrainerRoom;
let threads: TrainerRoom;

beforeAll(async () => {
  data = await loadData(parseScenario(scenarioText()).data, ".");
  inline = await openLinearRoom(data, manifest, 0);
  threads = await openLinearRoom(data, manifest, 2);
});
afterAll(async () => {
  await threads.close();
});

function scenarioText(changes: { top?: object; run?: object } = {}): string {
  return JSON.stringify({
    name: "test",
    data: { kind: "synthetic", examples: 1000, heldOut: 0 },
    partition: { kind: "dirichlet", clients: 12, alpha: 1 },
    model: { kind: "linear" },
    run: {
      adapter: { rank: 4, targetModules: "all-linear" },
      rounds: 4,
      cohort: { size: 4 },
      training: { localSteps: 5, batchSize: 8, optimizer: { kind: "sgd", learningRate: 0.5 } },
      ...changes.run,
    },
    ...changes.top,
  });
}

function simulate(
  changes: { top?: object; run?: object } = {},
  room = inline,
  seed = 0,
  onRound = (): void => undefined,
): Promise<RunResult> {
  const scenario = parseScenario(scenarioText(changes));
  const spec = variantSpec(scenario, "run", seed, manifest, data.labels);
  const { signal } = new AbortController();
  return simulateRun({ scenario, folder: ".", variant: "run", seed, spec, manifest, data, room, signal, onRound });
}

/** All of a result but what is of this machine. */
const facts = (result: RunResult): object => ({ ...result, wallMs: 0 });

const busy = {
  top: {
    data: { kind: "synthetic", examples: 1000, heldOut: 0.2 },
    devices: {
      classes: [
        { name: "slow", stepMs: 200, uploadBytesPerSecond: 1e5 },
        { name: "fast", stepMs: 50 },
      ],
      speedSpread: 0.3,
      stragglers: { share: 0.2, slowdown: 4 },
      dropout: { prob: 0.2, awayMs: 5000 },
      availability: { kind: "cycle", onMs: 20_000, offMs: 5000 },
    },
  },
  run: {
    rounds: 6,
    cohort: { size: 4, overSelection: 1.5, quorum: 2 },
    deadlines: { silenceMs: 3000, roundMs: 20_000 },
  },
};

describe("the same scenario and seed", () => {
  test("learn, and give the same rows twice and at any number of workers", async () => {
    const first = await simulate();
    expect(first).toMatchObject({ state: "completed", reason: "", trainings: 16, refusals: {}, declines: {} });
    expect(first.rounds).toHaveLength(4);
    expect(first.rounds.at(-1)!.test!.accuracy).toBeGreaterThan(0.9);
    expect(first.finalHash).toMatch(/^[0-9a-f]{64}$/);
    expect(facts(await simulate())).toEqual(facts(first));
    expect(facts(await simulate({}, threads))).toEqual(facts(first));
  });

  test("do so with machines that are slow, vanish and are switched off", async () => {
    const first = await simulate(busy);
    expect(first.rounds.reduce((sum, { dropouts }) => sum + dropouts, 0)).toBeGreaterThan(0);
    expect(Object.keys(first.classes).sort()).toEqual(["fast", "slow"]);
    expect(first.rounds.some(({ evaluation }) => evaluation !== undefined)).toBe(true);
    expect(facts(await simulate(busy, threads))).toEqual(facts(first));
  });

  test("another seed is another run", async () => {
    expect((await simulate({}, inline, 1)).finalHash).not.toBe((await simulate()).finalHash);
  });
});

test("virtual time is the devices', not this machine's", async () => {
  const { rounds } = await simulate({
    top: { devices: { classes: [{ name: "a", stepMs: 1000, latencyMs: 0, uploadBytesPerSecond: 1e9 }] } },
    run: { rounds: 1 },
  });
  // Five steps of a second; transfers take next to nothing.
  expect(rounds[0]!.durationMs).toBeGreaterThanOrEqual(5000);
  expect(rounds[0]!.durationMs).toBeLessThan(5010);
});

test("of many clients only some wait at a time, and all of them get their turn", async () => {
  const result = await simulate({
    top: {
      partition: { kind: "iid", clients: 2000, examplesPerClient: 8 },
      devices: { waiting: 8, classes: [{ name: "a" }] },
    },
    run: { rounds: 10, cohort: { size: 4 }, training: { localSteps: 1, batchSize: 8 } },
  });
  expect(result).toMatchObject({ state: "completed", trainings: 40 });
  // 40 of 2000 are drawn with few repetitions.
  expect(Object.values(result.classes)[0]).toBeGreaterThan(35);
});

test.each<[string, object]>([
  ["a method that keeps state on the client", { method: { name: "fedsa-lora" }, rounds: 8 }],
  [
    "control variates",
    { training: { controlVariates: true, localSteps: 5, optimizer: { kind: "sgd", learningRate: 0.5 } } },
  ],
  ["error feedback", { codec: "topk:0.25" }],
  ["base weights that change", { method: { name: "fedex-lora" } }],
  [
    "buffered rounds",
    { method: { name: "ffa-lora" }, policy: { kind: "buffered", bufferSize: 3 }, cohort: { size: 6 }, rounds: 8 },
  ],
])("%s is simulated, the same at any number of workers", async (_, run) => {
  const changes = { top: { data: { kind: "synthetic", examples: 1000, heldOut: 0.2 } }, run };
  const first = await simulate(changes);
  expect(first).toMatchObject({ state: "completed", declines: {}, refusals: {} });
  expect(first.rounds.at(-1)!.evaluation!["accuracy"]).toBeGreaterThan(0.5);
  expect(facts(await simulate(changes, threads))).toEqual(facts(first));
});

test("what clients measure one by one is told of all of them, the last to answer too", async () => {
  const top = { data: { kind: "synthetic", examples: 1000, heldOut: 0.2 }, partition: { kind: "iid", clients: 12 } };
  const result = await simulate({ top });
  expect(result.rounds.map(({ perClient }) => perClient!.clients)).toEqual([12, 12, 12, 12]);
  // Equal shares: the mean over clients is that over examples.
  const { perClient, evaluation } = result.rounds.at(-1)!;
  expect(perClient!.meanAccuracy).toBeCloseTo(evaluation!["accuracy"] as number, 1);
});

test("a private run repeats itself and says what it spent", async () => {
  const changes = {
    top: { partition: { kind: "iid", clients: 40 } },
    run: {
      method: { name: "ffa-lora" },
      weighting: { kind: "uniform" },
      cohort: { size: 8 },
      privacy: { mode: "client", epsilon: 8, delta: 1e-3, clipNorm: 1, population: 40 },
    },
  };
  const first = await simulate(changes);
  expect(first.privacy).toMatchObject({ mode: "client", delta: 1e-3 });
  expect(first.privacy!.epsilon).toBeLessThanOrEqual(8);
  expect(first.rounds.map(({ epsilon }) => epsilon! > 0)).toEqual([true, true, true, true]);
  expect(first.rounds.at(-1)!.epsilon).toBeLessThanOrEqual(first.privacy!.epsilon);
  expect(facts(await simulate(changes, threads))).toEqual(facts(first));
});

describe("what goes wrong", () => {
  const wrong = (kind: string, more: object = {}): { top: object } => ({
    top: { misbehaviour: [{ kind, share: 0.4, ...more }], devices: { dropout: undefined } },
  });

  test("a NaN is refused alone, with its code, and the round goes on", async () => {
    const result = await simulate(wrong("not-finite"));
    expect(result.state).toBe("completed");
    expect(Object.keys(result.refusals)).toEqual(["update-not-finite"]);
  });

  test("who sent a NaN evaluates like the others", async () => {
    const { top } = wrong("not-finite");
    const result = await simulate({ top: { ...top, data: { kind: "synthetic", examples: 1000, heldOut: 0.2 } } });
    expect(result.refusals["update-not-finite"]).toBeGreaterThan(0);
    expect(result.rounds.every(({ perClient }) => perClient!.clients > 4)).toBe(true);
  });

  test("a damaged chunk is sent again, a repeated commit counts once", async () => {
    const honest = await simulate();
    for (const kind of ["corrupted", "duplicated"]) {
      const result = await simulate(wrong(kind));
      expect(result).toMatchObject({ state: "completed", refusals: {}, trainings: 16 });
      expect(result.rounds.at(-1)!.test!.accuracy).toBeGreaterThan(0.9);
      if (kind === "duplicated") expect(result.finalHash).toBe(honest.finalHash);
    }
  });

  test("a lost update leaves a slot that is filled again", async () => {
    const { rounds, state } = await simulate({ ...wrong("lost"), run: { deadlines: { silenceMs: 2000 } } });
    expect(state).toBe("completed");
    expect(rounds.reduce((sum, { dropouts }) => sum + dropouts, 0)).toBeGreaterThan(0);
  });

  test("late updates lengthen the round", async () => {
    const { virtualMs } = await simulate();
    expect((await simulate(wrong("late", { delayMs: 30_000 }))).virtualMs).toBeGreaterThan(virtualMs + 30_000);
  });

  test("attackers harm the mean, and the median less", async () => {
    const accuracy = async (changes: object): Promise<number> => {
      const { rounds } = await simulate({ ...wrong("scaling", { factor: 50 }), run: { rounds: 3, ...changes } });
      return rounds.at(-1)!.test!.accuracy!;
    };
    expect(await accuracy({ method: { name: "coordinate-median" }, cohort: { size: 12 } })).toBeGreaterThan(
      await accuracy({ cohort: { size: 12 } }),
    );
  });

  test.each(["sign-flip", "label-flip", "collusion", "free-rider", "count-gaming"])(
    "%s changes the result",
    async (kind) => {
      const result = await simulate(wrong(kind));
      expect(result.state).toBe("completed");
      expect(result.finalHash).not.toBe((await simulate()).finalHash);
    },
  );
});

test("what no client can do ends the simulation with its reason", async () => {
  const run = { method: { name: "fedsa-lora" }, adapter: { rank: 4, targetModules: "all-linear", variant: "vera" } };
  await expect(simulate({ run })).rejects.toMatchObject({
    code: "model-unsupported",
    message: expect.stringMatching(/client-\d+ cannot train: .*variants lora and latent/),
  });
});

test("DP-SGD at the clients spends what an accountant says of its steps, and repeats itself on threads", async () => {
  const privacy = { mode: "example", delta: 1e-3, clipNorm: 1, noiseMultiplier: 1.2, minExamples: 60 };
  const changes = {
    top: { partition: { kind: "iid", clients: 12 } },
    run: { method: { name: "ffa-lora" }, cohort: { size: 12 }, privacy },
  };
  const first = await simulate(changes);
  expect(first.declines).toEqual({});
  // dp-accounting: PLD of 20 Poisson samples at rate 8 / 60.
  expect(first.privacy!.epsilon).toBeCloseTo(2.03273, 3);
  expect(first.rounds.map(({ epsilon }) => epsilon! > 0)).toEqual([true, true, true, true]);
  expect(facts(await simulate(changes, threads))).toEqual(facts(first));
});

test("a thread that dies in the middle ends the simulation with its reason", async () => {
  const dying = await openLinearRoom(data, manifest, 2);
  const run = simulate({ run: { rounds: 50 } }, dying, 0, () => void dying.close());
  await expect(run).rejects.toMatchObject({
    code: "internal",
    message: expect.stringMatching(/client-\d+ cannot train: a simulation's thread ended with code 1/),
  });
});

test("a cohort larger than the population is refused", async () => {
  await expect(simulate({ run: { cohort: { size: 13 } } })).rejects.toMatchObject({
    code: "scenario-invalid",
    message: expect.stringMatching(/run\.cohort\.size 13 is more than the 12 clients/),
  });
});
