import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadBaseModel } from "@fedlora/client-sdk";
import { compileRunSpec } from "@fedlora/core";
import { createProgress, ProcessGroup, runFederation } from "@fedlora/simulations";
import { expect, test } from "vitest";

const launcher = fileURLToPath(new URL("../../cli/bin/fedlora.js", import.meta.url));
const tinyBert = fileURLToPath(new URL("../../testdata/peft/bert/base", import.meta.url));
const members = ["ann", "bob"];

/** Two members in processes of their own, two rounds of a tiny BERT with dropout; the final adapter's hash. */
async function finalAdapter(runName: string): Promise<string | undefined> {
  const workFolder = await mkdtemp(join(tmpdir(), "fedlora-repeat-"));
  const processes = new ProcessGroup();
  try {
    const cacheFolder = join(workFolder, "cache");
    const { manifest, folder } = await loadBaseModel(tinyBert, { cacheFolder });
    const spec = compileRunSpec(
      {
        name: "repeat",
        model: { hash: manifest.hash },
        task: { kind: "sequence-classification", labels: ["no", "yes"], maxTokens: 16 },
        adapter: { rank: 2, targetModules: ["query", "value"], dropout: 0.1 },
        rounds: 2,
        cohort: { size: members.length, quorum: members.length, seed: 7 },
        training: { localSteps: 3, batchSize: 2, optimizer: { learningRate: 0.01 }, seed: 7 },
        evaluation: { every: 0 },
      },
      { manifest },
    );
    for (const name of members) await writeTexts(join(workFolder, name), name);
    const manifestFile = join(workFolder, "model.json");
    await writeFile(manifestFile, JSON.stringify(manifest));
    const progress = createProgress();
    const signal = AbortSignal.timeout(120_000);
    const { admin, detail } = await runFederation({
      ...{ launcher, runName, workFolder, manifestFile, modelFolder: folder, cacheFolder, members, spec },
      ...{ processes, progress, signal },
    });
    admin.close();
    return detail.globalAdapter?.id;
  } finally {
    await processes.stopAll();
    await rm(workFolder, { recursive: true, force: true });
  }
}

/** Enough texts that the order in which they are drawn shows in the result. */
async function writeTexts(folder: string, name: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const words = ["the", "a", "good", "bad", "news", "of", "to", "day", "now", "free"];
  const lines = Array.from({ length: 12 }, (_, index) => {
    const text = `${name} ${words[index % 10]} ${words[(3 * index + 1) % 10]} ${words[(7 * index + 2) % 10]}`;
    return JSON.stringify({ text, label: index % 3 === 0 ? "yes" : "no" });
  });
  for (const file of ["train.jsonl", "held-out.jsonl"]) await writeFile(join(folder, file), lines.join("\n"));
}

test("a federation of processes ends with the same adapter, bit for bit, whenever its name is the same", async () => {
  const first = await finalAdapter("repeat 7");
  const again = await finalAdapter("repeat 7");
  const other = await finalAdapter("repeat 8");

  expect(first).toBeDefined();
  expect(again).toBe(first);
  // Another name gives other random streams; were it not so, the test above would see nothing.
  expect(other).not.toBe(first);
});
