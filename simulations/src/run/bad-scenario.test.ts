import { FedLoraError } from "@fedlora/core";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { installedPackage } from "../data/installed-package.js";
import { simulateScenario } from "./simulate-scenario.js";

const text = `
name: bad
seeds: [0, 1]
data: { kind: synthetic, examples: 200, heldOut: 0.2 }
partition: { kind: dirichlet, clients: 12, alpha: 1 }
model: { kind: linear }
run:
  adapter: { rank: 4, targetModules: all-linear }
  rounds: 1
  cohort: { size: 4 }
  training: { localSteps: 1, batchSize: 8, optimizer: { kind: sgd } }
variants:
  plain mean: {}
  other: { method: { name: ffa-lora } }
`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-bad-scenario-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** How `fedlora compare` of the scenario is refused, and what it said before. */
async function refused(scenario: string, variants: "all" | string[] = "all") {
  const path = join(folder, "bad.yaml");
  await writeFile(path, scenario);
  const said: string[] = [];
  const outcome = simulateScenario({
    ...{ path, variants, seeds: undefined, workers: 0, versions: {}, cacheFolder: folder },
    outFolder: join(folder, "out"),
    progress: {
      say: (line) => void said.push(line),
      round: () => undefined,
      preparing: () => undefined,
      end: () => undefined,
    },
    signal: new AbortController().signal,
  });
  const error = await outcome.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof FedLoraError)) throw new Error(`it was not refused: ${String(error)}`);
  return { code: error.code, message: error.message, said };
}

const other = (spec: string): [string, string] => ["{ method: { name: ffa-lora } }", spec];

describe("before the data are read", () => {
  test.each<[string, [string, string], string, RegExp]>([
    ["a key that there is not", ["seeds:", "sedes:"], "scenario-invalid", /sedes is not a field; did you mean "seeds"/],
    [
      "an unknown data set",
      ["kind: synthetic", "kind: mnst"],
      "scenario-invalid",
      /data\.kind got "mnst".*mean "mnist"/,
    ],
    ["a seed twice", ["[0, 1]", "[1, 1]"], "scenario-invalid", /seeds got \[1,1\]: no seed twice/],
    [
      "a variant named run",
      ["plain mean", "run"],
      "scenario-invalid",
      /`run` is the name of the run without a variant/,
    ],
    [
      "a misspelt method",
      other("{ method: { name: ffalora } }"),
      "method-unknown",
      /variants\.other: .*mean "ffa-lora"/,
    ],
    [
      "a misspelt option of a method",
      other("{ method: { name: multi-krum, options: { byzantin: 1 } } }"),
      "method-options-invalid",
      /variants\.other: options of method "multi-krum": byzantin is not a field; did you mean "byzantine"/,
    ],
    [
      "a method with a codec that it does not allow",
      other("{ method: { name: flasc }, codec: 'topk:0.1' }"),
      "spec-combination-refused",
      /variants\.other: method "flasc" does not allow codec topk/,
    ],
    [
      "a rank too high",
      ["rank: 4", "rank: 5"],
      "scenario-invalid",
      /plain mean: adapter\.rank: 5 is above .* at most 4/,
    ],
    [
      "an adapter that the model does not take",
      other("{ method: { name: fedsa-lora }, adapter: { variant: vera } }"),
      "model-unsupported",
      /variant "other": the linear model takes adapters of the variants lora and latent/,
    ],
    ["a cohort above all clients", ["size: 4", "size: 13"], "scenario-invalid", /cohort\.size 13 is more than the 12/],
    ["a model for texts", ["kind: linear", "kind: minilm"], "scenario-invalid", /data synthetic are numbers/],
    [
      "a key that the data do not have",
      ["{ kind: dirichlet, clients: 12, alpha: 1 }", "{ kind: by-key, key: sender }"],
      "scenario-invalid",
      /partition\.key "sender" is no key of the data; keys are none/,
    ],
  ])("%s is refused", async (_, [from, to], code, message) => {
    expect(text).toContain(from);
    const refusal = await refused(text.replace(from, to));
    expect(refusal).toMatchObject({ code, said: [] });
    expect(refusal.message).toMatch(message);
  });

  test("labels and keys of texts are checked as far as they are known", async () => {
    const texts = (data: string, partition: string): string =>
      text
        .replace(/data: .*/, `data: ${data}`)
        .replace(/partition: .*/, `partition: ${partition}`)
        .replace("kind: linear", "kind: minilm");
    const mail = await refused(texts("{ kind: spam-assassin, heldOut: 0.1 }", "{ kind: by-key, key: lst }"));
    expect(mail.message).toBe('partition.key "lst" is no key of the data; keys are list, domain; did you mean "list"?');
    expect(mail.said).toEqual([]);
    const plain = texts("{ kind: file, path: x.csv, heldOut: 0.1 }", "{ kind: dirichlet, clients: 4, alpha: 1 }");
    expect((await refused(plain)).message).toMatch(/the data have none: name its column, data\.label, or use iid/);
    const positive = "task: { positiveLabel: spm }\n  rounds";
    const file = texts("{ kind: file, path: none.csv, label: l, heldOut: 0.1 }", "{ kind: by-key, key: k }");
    // What the file's labels are is not known before it is read.
    expect(await refused(file.replace("rounds", positive))).toMatchObject({ code: "file-missing" });
    const known = texts("{ kind: spam-assassin, heldOut: 0.1 }", "{ kind: by-key }").replace("rounds", positive);
    expect(await refused(known)).toMatchObject({ code: "scenario-invalid", said: [] });
  });

  test("a variant that there is not is refused with the nearest", async () => {
    expect(await refused(text, ["plain men"])).toEqual({
      ...{ code: "scenario-invalid", said: [] },
      message: 'there is no variant "plain men"; did you mean "plain mean"?',
    });
    expect((await refused(text, ["xyz"])).message).toBe('there is no variant "xyz"; there are plain mean, other');
    expect((await refused(text.replace(/variants:[^]*/, ""), ["xyz"])).message).toMatch(/the scenario has none/);
  });
});

describe("before the model is opened", () => {
  test.each<[string, string, string, string, RegExp]>([
    ["more clients than examples", "clients: 12", "clients: 161", "partition-impossible", /161 are more than the 160/],
    [
      "a partition that leaves a client empty",
      "alpha: 1 ",
      "alpha: 0.01 ",
      "partition-impossible",
      /would hold no example/,
    ],
    [
      "more examples for privacy than the clients have",
      "cohort: { size: 4 }",
      "cohort: { size: 4 }\n  privacy: { mode: example, epsilon: 8, delta: 1.0e-3, clipNorm: 1, minExamples: 100 }",
      "scenario-invalid",
      /\d of 12 clients have the 100 examples .*minExamples asks for, a round needs 2; the largest has \d+/,
    ],
    [
      "a trace that is not there",
      "model:",
      "devices: { availability: { kind: trace, path: none.jsonl } }\nmodel:",
      "file-missing",
      /devices\.availability\.path: cannot read ".*none\.jsonl"/,
    ],
  ])("%s is refused", async (_, from, to, code, message) => {
    expect(text).toContain(from);
    const refusal = await refused(text.replace(from, to));
    expect(refusal).toMatchObject({ code, said: ["Reading the data: synthetic"] });
    expect(refusal.message).toMatch(message);
  });

  test("what only one of the seeds cannot do is refused", async () => {
    // With seed 0 each of the 12 clients has an example.
    const uneven = text.replace("alpha: 1 ", "alpha: 0.35 ");
    await expect(refused(uneven.replace("[0, 1]", "[0]"))).rejects.toThrow("it was not refused");
    const seeds = Array.from({ length: 30 }, (_, seed) => seed).join(", ");
    expect(await refused(uneven.replace("[0, 1]", `[${seeds}]`))).toMatchObject({
      code: "partition-impossible",
    });
  });

  test("files that cannot be read are named", async () => {
    const texts = text.replace(/data: .*/, "data: { kind: file, path: rows.csv, heldOut: 0.1 }");
    const scenario = texts
      .replace("kind: linear", "kind: minilm")
      .replace("dirichlet", "iid")
      .replace(", alpha: 1", "");
    const path = join(folder, "rows.csv");
    expect((await refused(scenario)).message).toBe(`data.path: cannot read "${path}"`);
    await writeFile(path, "text,label\nhello,1\n");
    const missing = scenario.replace("path:", "label: lable, path:");
    expect((await refused(missing)).message).toMatch(
      /data\.label: .*"lable"; columns are label, text; did you mean "label"/,
    );
    await chmod(path, 0o000);
    // Nothing is unreadable to a superuser.
    if (process.getuid?.() !== 0) expect((await refused(scenario)).code).toBe("file-missing");
    await chmod(path, 0o600);
  });

  test("data that are not installed are named with what to install", async () => {
    await expect(installedPackage("@fedlora/no-such-data")).rejects.toMatchObject({
      code: "file-missing",
      message: expect.stringMatching(/not installed: run `npm install @fedlora\/no-such-data`/),
    });
  });
});

test("a scenario that is not there is named", async () => {
  const options = { variants: "all", seeds: undefined, workers: 0, outFolder: folder, cacheFolder: folder } as const;
  const progress = { say: () => undefined, round: () => undefined, preparing: () => undefined, end: () => undefined };
  const path = join(folder, "none.yaml");
  await expect(
    simulateScenario({ ...options, path, progress, versions: {}, signal: new AbortController().signal }),
  ).rejects.toMatchObject({ code: "file-missing", message: `cannot read the scenario "${path}"` });
});
