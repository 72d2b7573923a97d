import {
  type DataSource,
  loadBaseModel,
  openModelWorkbench,
  saveAdapterFolder,
  type SavedAdapter,
} from "@fedlora/client-sdk";
import {
  adapterLayout,
  adapterSchema,
  initialAdapter,
  type PlanInstructions,
  resolveAdapter,
  taskSchema,
  trainingSchema,
} from "@fedlora/core";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

/** A Python with torch, transformers and peft; `FEDLORA_PYTHON` names another one than `python3`. */
const python = process.env["FEDLORA_PYTHON"] ?? "python3";
const hasPeft = spawnSync(python, ["-c", "import torch, transformers, peft"]).status === 0;

const base = fileURLToPath(new URL("../../testdata/peft/bert/base", import.meta.url));
const script = fileURLToPath(new URL("./peft_check.py", import.meta.url));
const labels = ["work", "spam"];
const task = taskSchema.parse({ kind: "sequence-classification", labels, maxTokens: 64 });
const spec = adapterSchema.parse({ rank: 3, targetModules: ["query", "value", "dense"], rankPattern: { query: 2 } });
const data: DataSource = {
  name: "tiny",
  train: () => [
    { text: "free money now", label: "spam" },
    { text: "click the offer and win", label: "spam" },
    { text: "the project meeting is today", label: "work" },
    { text: "a lunch report", label: "work" },
  ],
};

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "fedlora-peft-"));
});
afterAll(() => rm(scratch, { recursive: true }));

test("PEFT's own names for what fedlora trains and saves", { timeout: 120_000 }, async (context) => {
  const baseModel = await loadBaseModel(base, { cacheFolder: scratch });
  const workbench = openModelWorkbench({ baseModel, cacheFolder: scratch, engine: { engine: "onnxruntime-cpu" } });
  const resolved = resolveAdapter(spec, baseModel.manifest, task);
  const layout = adapterLayout(resolved);
  const instructions: PlanInstructions = {
    format: "fedlora-instructions/1",
    task,
    adapter: spec,
    training: trainingSchema.parse({ localSteps: 20, batchSize: 4, optimizer: { learningRate: 0.02 } }),
    roles: layout.map((role) => ({ spec: role, trained: true, uploaded: true, downloaded: true, keep: "none" })),
    updateForm: "delta",
    uploadLayout: layout,
    codec: "f32",
    directives: [],
    keepOptimizerState: false,
    seed: 1,
  };
  const { trained } = await workbench.trainer.train(
    { instructions, start: initialAdapter(resolved, 1), data, round: 1, streamKey: "test", optimizerState: undefined },
    new AbortController().signal,
    () => undefined,
  );
  const adapter: SavedAdapter = { spec, task, tensors: trained };
  const folder = join(scratch, "adapter");

  await saveAdapterFolder(folder, adapter, baseModel.manifest, base);

  expect((await readdir(folder)).sort()).toEqual([
    "adapter_config.json",
    "adapter_model.safetensors",
    "fedlora_task.json",
  ]);
  const texts = ["free money now", "the meeting", "", "win a prize, click! ".repeat(12)];
  const results = await workbench.adapt(adapter).classify(texts);
  await workbench.close();
  const cases = texts.map((text, index) => ({
    text,
    logProbabilities: Object.values(results[index]?.scores ?? {}).map(Math.log),
  }));
  const expected = join(scratch, "expected.json");
  await writeFile(expected, JSON.stringify({ labels, maxTokens: 64, cases }));
  if (!hasPeft) {
    context.skip(`${python} has no torch, transformers and peft; set FEDLORA_PYTHON to one that has`);
    return;
  }
  const check = spawnSync(python, [script, base, folder, expected], { encoding: "utf8" });

  expect(check.status, check.stdout + check.stderr).toBe(0);
});
