import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseScenario } from "../scenario/parse-scenario.js";
import { variantNames } from "../scenario/variant-spec.js";
import { runScenario, type ScenarioResult } from "./run-scenario.js";

let cacheFolder: string;
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "fedlora-language-"));
});
afterAll(async () => {
  await rm(cacheFolder, { recursive: true });
});

const scenario = (changes: object = {}) =>
  parseScenario(
    JSON.stringify({
      name: "language",
      data: { kind: "state-of-the-union", years: [1993, 2016], limit: 160, test: 0.2, heldOut: 0.2 },
      partition: { kind: "by-key", clients: 3 },
      model: {
        kind: "small-decoder",
        layers: 1,
        width: 32,
        heads: 2,
        vocabulary: 320,
        pretraining: { years: [1790, 1800], steps: 30, batchSize: 8, maxTokens: 32, learningRate: 0.01 },
      },
      references: ["base", "alone"],
      run: {
        task: { kind: "causal-lm", maxTokens: 32 },
        adapter: { rank: 4, targetModules: "all-linear" },
        rounds: 2,
        cohort: { size: 3 },
        training: { localSteps: 6, batchSize: 8, optimizer: { learningRate: 0.02 } },
      },
      variants: { FedAvg: {}, "FFA-LoRA": { method: { name: "ffa-lora" } } },
      ...changes,
    }),
  );

function run(workers: number, said: string[] = [], changes: object = {}): Promise<ScenarioResult> {
  const parsed = scenario(changes);
  const progress = {
    say: (text: string) => void said.push(text),
    preparing: (_: number, text: string) => void said.push(text),
    round: () => undefined,
    end: () => undefined,
  };
  return runScenario({
    scenario: parsed,
    folder: ".",
    variants: variantNames(parsed),
    seeds: [0],
    workers,
    outFolder: join(cacheFolder, "out"),
    cacheFolder,
    progress,
    signal: new AbortController().signal,
  });
}

const facts = ({ runs }: ScenarioResult): object => runs.map((each) => ({ ...each, wallMs: 0 }));

test("a scenario trains its decoder once, and a federation of presidents makes it better at texts that nobody read", async () => {
  const said: string[] = [];
  const first = await run(1, said);
  const steps = said.flatMap((text) => /^step (\d+)\/30, loss (.*)$/u.exec(text)?.slice(1).map(Number) ?? []);
  expect([steps[0], steps.at(-2)]).toEqual([1, 30]);
  // It begins as a bigram model, far below ln 320 = 5.8, and learns from there.
  expect(steps[1]).toBeLessThan(5);
  expect(steps.at(-1)).toBeLessThan(steps[1]! - 0.1);
  expect(said.join("\n")).toMatch(/nats per token and \d\.\d+ bits per byte on unread texts of 1790 to 1800/u);

  expect(first.model.name).toBe("small-decoder");
  const [base, alone, fedAvg, ffa] = first.runs;
  expect(first.runs.map(({ variant }) => variant)).toEqual(["(base)", "(alone)", "FedAvg", "FFA-LoRA"]);
  const lossOf = (each: typeof base): number => each!.rounds.at(-1)!.test!.loss!;
  expect(lossOf(fedAvg)).toBeLessThan(fedAvg!.rounds[0]!.test!.loss!);
  expect(lossOf(fedAvg)).toBeLessThan(lossOf(base) - 0.02);
  expect(lossOf(ffa)).toBeLessThan(lossOf(base));
  expect(lossOf(alone)).toBeLessThan(lossOf(base));
  const { test: tested, evaluation } = fedAvg!.rounds.at(-1)!;
  expect(tested).toMatchObject({ accuracy: undefined, perplexity: Math.exp(tested!.loss!) });
  expect(evaluation).toMatchObject({ perplexity: Math.exp(evaluation!["loss"] as number) });

  const again: string[] = [];
  expect(facts(await run(2, again))).toEqual(facts(first));
  expect(again.filter((text) => text.startsWith("step"))).toEqual([]);
  const rows = (await readFile(join(cacheFolder, "out", "rounds.jsonl"), "utf8")).trim().split("\n");
  expect(rows).toHaveLength(2 + 2 * 2);

  // Trained anew, it is the same decoder.
  await rm(join(cacheFolder, "decoders"), { recursive: true });
  expect((await run(1, [], { references: [], variants: {} })).model).toEqual(first.model);
}, 120_000);

test("a federation on texts that its decoder has read is refused", async () => {
  await expect(run(1, [], { data: { kind: "state-of-the-union", years: [1800, 1850] } })).rejects.toMatchObject({
    code: "scenario-invalid",
    message: expect.stringMatching(/data\.years 1800 to 1850 and model\.pretraining\.years 1790 to 1800 overlap/u),
  });
});

test("years without text are refused", async () => {
  const pretraining = { years: [1933, 1933] };
  await expect(run(1, [], { model: { kind: "small-decoder", pretraining } })).rejects.toMatchObject({
    code: "scenario-invalid",
    message: expect.stringMatching(/model\.pretraining\.years 1933 to 1933 hold no text/u),
  });
});
