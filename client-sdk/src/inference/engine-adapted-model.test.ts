import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadAdapterFolder, saveAdapterFolder } from "../lora/adapter-folder.js";
import {
  openTinyWorkbench,
  peftFolder,
  type PeftGolden,
  readPeftGolden,
  tinyTasks,
  type TinyWorkbench,
} from "../testing/tiny-models.js";

let bert: TinyWorkbench;
let llama: TinyWorkbench;
let golden: PeftGolden;
let folder: string;
beforeAll(async () => {
  [bert, llama, golden] = await Promise.all([openTinyWorkbench("bert"), openTinyWorkbench("llama"), readPeftGolden()]);
  folder = await mkdtemp(join(tmpdir(), "fedlora-adapter-"));
});
afterAll(async () => {
  await bert.remove();
  await llama.remove();
  await rm(folder, { recursive: true });
});

/** Logits that only differ by a constant give the same probabilities; compared as logarithms, small ones count too. */
function logProbabilities(logits: readonly number[]): number[] {
  const logSum = Math.log(logits.reduce((sum, value) => sum + Math.exp(value), 0));
  return logits.map((value) => value - logSum);
}

describe("adapters that PEFT saved", () => {
  test.each(["plain", "patterns"])("%s gives PEFT's logits", async (name) => {
    const adapter = await loadAdapterFolder(join(peftFolder, "bert", name), bert.baseModel.manifest, bert.task);
    const model = bert.adapt(adapter);

    const results = await model.classify(golden.bert.texts);

    for (const [index, logits] of golden.bert.logits[name]!.entries()) {
      const { label, score, scores } = results[index]!;
      const expected = logProbabilities(logits);
      Object.values(scores).forEach((value, at) => expect(Math.log(value)).toBeCloseTo(expected[at]!, 4));
      const best = logits.indexOf(Math.max(...logits));
      expect([label, score]).toEqual([["no", "maybe", "yes"][best], Math.max(...Object.values(scores))]);
    }
  });

  test("one text alone and many together give the same", async () => {
    const model = bert.adapt(await bert.readAdapter("patterns"));
    const texts = Array.from({ length: 19 }, (_, index) => golden.bert.texts[index % golden.bert.texts.length]!);

    const together = await model.classify(texts);

    for (const [index, text] of texts.slice(0, 6).entries()) {
      const [alone] = await model.classify([text]);
      expect(alone!.label).toBe(together[index]!.label);
      expect(alone!.score).toBeCloseTo(together[index]!.score, 5);
      expect(together[index + 6]!.score).toBeCloseTo(together[index]!.score, 5);
    }
    expect(await model.classify([])).toEqual([]);
  });

  test("a language model writes what transformers writes", async () => {
    const model = llama.adapt(await llama.readAdapter("plain"));
    const { prompt, ids } = golden.llama.generated;
    const { tokenizer } = llama.baseModel;

    const written = await model.generate(prompt, { maxNewTokens: ids.length });

    const before = tokenizer.encode(prompt);
    expect(tokenizer.decode(before) + written).toBe(tokenizer.decode([...before, ...ids]));
    const short = await model.generate(prompt, { maxNewTokens: 3 });
    expect(written.startsWith(short)).toBe(true);
  });
});

describe("drawing instead of taking the best", () => {
  test("depends on the seed alone, and a low temperature takes the best", async () => {
    const model = llama.adapt();
    const draw = (seed: number, temperature = 1) =>
      model.generate("free money", { maxNewTokens: 8, greedy: false, seed, temperature });

    expect(await draw(1)).toBe(await draw(1));
    expect(await draw(1)).not.toBe(await draw(2));
    expect(await draw(1, 1e-4)).toBe(await model.generate("free money", { maxNewTokens: 8 }));
  });
});

test("embeddings have length 1, an adapter changes them, and like texts are like", async () => {
  const texts = ["free money", "free money now", "the meeting is today"];

  const plain = await bert.adapt().embed(texts);
  const adapted = await bert.adapt(await bert.readAdapter("patterns")).embed(texts);

  const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, index) => sum + value * b[index]!, 0);
  for (const vector of [...plain, ...adapted]) expect(dot(vector, vector)).toBeCloseTo(1, 5);
  expect(dot(plain[0]!, plain[1]!)).toBeGreaterThan(dot(plain[0]!, plain[2]!));
  expect(dot(plain[0]!, adapted[0]!)).toBeLessThan(0.999);
});

describe("folders", () => {
  test("what is saved comes back, labels included", async () => {
    const adapter = await bert.readAdapter("patterns");

    await saveAdapterFolder(join(folder, "ours"), adapter, bert.baseModel.manifest, "some/base");

    const read = await loadAdapterFolder(join(folder, "ours"), bert.baseModel.manifest);
    expect(read.tensors).toEqual(adapter.tensors);
    expect(read.task).toEqual(adapter.task);
    const texts = golden.bert.texts.slice(0, 2);
    expect(await bert.adapt(read).classify(texts)).toEqual(await bert.adapt(adapter).classify(texts));
  });

  test("what is missing or damaged is named", async () => {
    const { manifest } = bert.baseModel;
    const noTask = loadAdapterFolder(join(peftFolder, "bert", "plain"), manifest);
    await expect(noTask).rejects.toMatchObject({
      code: "file-missing",
      message: expect.stringMatching(/fedlora_task/u),
    });
    const nowhere = loadAdapterFolder(join(folder, "nowhere"), manifest);
    await expect(nowhere).rejects.toMatchObject({
      code: "file-missing",
      message: expect.stringMatching(/adapter_conf/u),
    });
    await saveAdapterFolder(join(folder, "bad"), await bert.readAdapter("plain"), manifest);
    await writeFile(join(folder, "bad", "fedlora_task.json"), '{"kind":"poetry"}');
    await expect(loadAdapterFolder(join(folder, "bad"), manifest)).rejects.toMatchObject({ code: "file-invalid" });
    await writeFile(join(folder, "bad", "fedlora_task.json"), "{");
    await expect(loadAdapterFolder(join(folder, "bad"), manifest)).rejects.toMatchObject({ code: "file-invalid" });
  });
});

describe("what a model cannot do", () => {
  test("is refused", async () => {
    const unsupported = { code: "model-unsupported" };
    await expect(bert.adapt().classify(["a"])).rejects.toMatchObject(unsupported);
    await expect(bert.adapt().generate("a")).rejects.toMatchObject(unsupported);
    await expect(llama.adapt().embed(["a"])).rejects.toMatchObject(unsupported);
    await expect(llama.adapt(await llama.readAdapter("plain")).classify(["a"])).rejects.toMatchObject(unsupported);
    await expect(llama.adapt().generate("a ".repeat(64))).rejects.toMatchObject({ code: "data-invalid" });
  });

  test("and an adapter of another model as well", async () => {
    const { spec, tensors } = await llama.readAdapter("plain");

    expect(() => bert.adapt({ spec, tensors, task: tinyTasks.bert })).toThrow(/"q_proj" matches no module/);
  });

  test("an abort ends it", async () => {
    const signal = AbortSignal.abort();
    const model = bert.adapt(await bert.readAdapter("plain"));

    await expect(model.classify(["a"], { signal })).rejects.toMatchObject({ code: "cancelled" });
    await expect(llama.adapt().generate("a", { signal })).rejects.toMatchObject({ code: "cancelled" });
  });
});
