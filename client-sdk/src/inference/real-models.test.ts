import { taskSchema } from "@fedlora/core";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startEngine } from "../engine/process/start-engine.js";
import { loadBaseModel } from "../models/load/load-base-model.js";
import { miniLmFolder, storiesFolder } from "../testing/model-folders.js";
import { dataOf, requestOf, trainEverything } from "../testing/tiny-models.js";
import { type ModelWorkbench, openModelWorkbench } from "../train/model-workbench.js";

/** Golden values: the models' own cards and implementations, as ../shared/research/models-and-data.md records them. */
let cacheFolder: string;
const open: ModelWorkbench[] = [];
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "fedlora-real-"));
});
afterAll(async () => {
  for (const workbench of open) await workbench.close();
  await rm(cacheFolder, { recursive: true });
});

async function openFolder(folder: string): Promise<ModelWorkbench> {
  const workbench = openModelWorkbench({
    baseModel: await loadBaseModel(folder, { cacheFolder }),
    cacheFolder,
    startEngine: () => startEngine({ engine: "onnxruntime-cpu", threads: 2, prepack: false }),
  });
  open.push(workbench);
  return workbench;
}

test("all-MiniLM-L6-v2: the cosines of its model card", async () => {
  const model = (await openFolder(miniLmFolder)).adapt();

  const [base, ...others] = await model.embed([
    "That is a happy person",
    "That is a happy dog",
    "That is a very happy person",
    "Today is a sunny day",
  ]);

  const cosines = others.map((other) => other.reduce((sum, value, index) => sum + value * base![index]!, 0));
  [0.6946, 0.9429, 0.2568].forEach((cosine, index) => expect(cosines[index]).toBeCloseTo(cosine, 3));
  [-0.03387, 0.09202, 0.04869, -0.03489].forEach((value, index) => expect(base![index]).toBeCloseTo(value, 4));
});

describe.skipIf(storiesFolder === undefined)("stories260K (skipped without ../shared/data)", () => {
  let workbench: ModelWorkbench;
  beforeAll(async () => {
    workbench = await openFolder(storiesFolder!);
  });

  test("200 greedy steps, byte for byte", async () => {
    const text = await workbench.adapt().generate("", { maxNewTokens: 200 });

    expect(Buffer.byteLength(text)).toBe(464);
    expect(createHash("sha256").update(text).digest("hex")).toBe(
      "beeb5cb46785efee81a8545300b31e396b595e5ce6f3b77db201545501981d14",
    );
  });

  test("what follows a prompt begins with its space", async () => {
    const text = await workbench.adapt().generate("Once upon a time, there was", { maxNewTokens: 4 });

    expect(text).toMatch(/^ a little/u);
  });

  test.each([
    ["Once upon a time, there was a little girl named Lily. She loved to play outside in the park.", 0.1804, 31],
    ["The Vaults pub near Café Adriatic has a 5 star rating. Prices start at £30.", 5.7531, 52],
  ])("mean loss per token of %s", async (text, meanLoss, numTargets) => {
    const spec = {
      rank: 1,
      rslora: false,
      dropout: 0,
      targetModules: ["q_proj"],
      layers: [0],
      rankPattern: {},
      variant: "lora" as const,
      init: { kind: "seeded" as const },
      alphaPattern: {},
    };
    const name = (part: string): string => `base_model.model.model.layers.0.self_attn.q_proj.lora_${part}.weight`;
    // B is zero: the base model itself.
    const tensors = new Map(
      ["A", "B"].map((part) => [
        name(part),
        { dtype: "F32" as const, shape: part === "A" ? [1, 64] : [64, 1], bytes: new Uint8Array(256) },
      ]),
    );
    const adapter = { spec, tensors, task: taskSchema.parse({ kind: "causal-lm", maxTokens: 64 }) };
    const request = requestOf(trainEverything(adapter, { batchSize: 1 }), tensors, dataOf([], [{ text }]));

    const counts = await workbench.trainer.evaluate(request, new AbortController().signal, () => undefined);

    expect(counts.count).toBe(numTargets);
    expect(counts.lossSum / counts.count).toBeCloseTo(meanLoss, 3);
  });
});
