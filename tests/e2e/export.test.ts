import { AdminClient, loadAdapterFolder, type AdaptedModel, type SavedAdapter } from "@fedlora/client-sdk";
import { readSafetensors, type BlobId, type RunId, type RunSpec } from "@fedlora/core";
import { spawnSync } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, type TestContext } from "vitest";
import { fedlora } from "./processes.js";
import { model, openTinyWorkbench, TinyFederation } from "./tiny-federation.js";

/** Runs of a tiny BERT that really trains, exported by the command and loaded again, by us and by PEFT. */
const otherModel = fileURLToPath(new URL("../../testdata/peft/llama/base", import.meta.url));
const members = ["ada", "brendan", "chen"];
const texts = ["free money now", "the build fails", "a prize", "lunch with the kernel team today"];

const python = process.env["FEDLORA_PYTHON"] ?? "python3";
const hasPeft = spawnSync(python, ["-c", "import torch, transformers, peft"]).status === 0;
const check = fileURLToPath(new URL("../interop/peft_check.py", import.meta.url));

let federation: TinyFederation;
let folder: string;
let coordinator: TinyFederation["coordinator"];
let workbench: TinyFederation["workbench"];

beforeAll(async () => {
  federation = await TinyFederation.open("export");
  ({ folder, coordinator, workbench } = federation);
});
afterAll(() => federation.close());

/** Trains a run of two rounds to its end; its clients share an engine. */
async function train(method: string, adapter: Partial<RunSpec["adapter"]> = {}): Promise<RunId> {
  const spec = federation.spec({
    name: method,
    adapter: { rank: 2, alpha: 3, targetModules: ["query", "intermediate.dense"], ...adapter },
    method: { name: method },
    rounds: 2,
    cohort: { size: 3, quorum: 3 },
    training: { localSteps: 5, batchSize: 4, optimizer: { learningRate: 0.05 } },
  });
  const { runId, detail, failures } = await federation.train(spec, members);
  expect(failures).toEqual([]);
  expect(detail.summary).toMatchObject({ state: "completed", round: 2 });
  return runId;
}

/** The run's last round as clients know it: the adapter as the method holds it, on the chain of base deltas. */
async function trained(runId: RunId, form: string): Promise<{ model: AdaptedModel; numDeltas: number }> {
  const admin = new AdminClient({ coordinator: coordinator.address });
  const { baseDeltas } = await admin.getExport(runId, 2, form);
  const { spec, rounds } = await admin.getRun(runId);
  const deltas = [];
  for (const { blob } of baseDeltas) {
    deltas.push({ id: blob.id, source: readSafetensors(await admin.getBlob(blob.id)).tensors });
  }
  const { tensors } = readSafetensors(await admin.getBlob(rounds[1]!.adapterBlobId));
  admin.close();
  return { model: workbench.adapt({ spec: spec.adapter, task: spec.task, tensors }, deltas), numDeltas: deltas.length };
}

async function logsOf(adapted: AdaptedModel): Promise<number[]> {
  const results = await adapted.classify(texts);
  return results.flatMap(({ scores }) => [Math.log(scores["ham"]!), Math.log(scores["spam"]!)]);
}

/** With the factors B set to zero: what is left of an adapter on a model that it was merged into. */
function headsOf({ spec, task, tensors }: SavedAdapter): SavedAdapter {
  const entries = [...tensors].map(([name, tensor]) => {
    const isFactor = name.endsWith("lora_B.weight");
    return [name, isFactor ? { ...tensor, bytes: new Uint8Array(tensor.bytes.byteLength) } : tensor] as const;
  });
  return { spec, task, tensors: new Map(entries) };
}

const outOf = (name: string): string => join(folder, "out", name);
const exportRun = (runId: string, ...flags: string[]) =>
  fedlora("export", runId, "--round", "2", "-c", coordinator.address, ...flags);

/** Exports a form and returns what the command said of it. */
async function exported(runId: string, form: string, ...flags: string[]) {
  const out = outOf(`${runId}-${form}${flags.join("")}`.replace(/[^\w-]/gu, ""));
  const { code, stdout, stderr } = await exportRun(runId, "--form", form, "--out", out, "--json", ...flags);
  expect(code, stderr).toBe(0);
  return {
    out,
    result: JSON.parse(stdout) as Record<string, number> & { modules?: { name: string; leftOut: number }[] },
  };
}

const load = (out: string): Promise<SavedAdapter> => loadAdapterFolder(out, workbench.baseModel.manifest);

function expectClose(values: readonly number[], expected: readonly number[]): void {
  values.forEach((value, at) => expect(value).toBeCloseTo(expected[at]!, 4));
}

/** What Hugging Face's libraries compute with an exported folder; skips where there are none. */
async function expectPython(context: TestContext, out: string, expected: readonly number[]): Promise<void> {
  if (!hasPeft) context.skip(`${python} has no torch, transformers and peft; set FEDLORA_PYTHON to one that has`);
  const cases = texts.map((text, index) => ({ text, logProbabilities: expected.slice(2 * index, 2 * index + 2) }));
  const file = join(folder, "expected.json");
  await writeFile(file, JSON.stringify({ labels: ["ham", "spam"], maxTokens: 16, cases }));
  const result = spawnSync(python, [check, model, out, file, "--tolerance", "1e-4"], { encoding: "utf8" });
  expect(result.status, result.stdout + result.stderr).toBe(0);
}

describe("a run that changed its base weights (fedex-lora)", () => {
  let runId: RunId;
  let expected: number[];
  beforeAll(async () => {
    runId = await train("fedex-lora");
    const { model: adapted, numDeltas } = await trained(runId, "stacked");
    expect(numDeltas).toBe(2);
    expected = await logsOf(adapted);
  });

  test("is not exported as a plain adapter; the forms that are sound are named", async () => {
    for (const form of ["peft", "onnx"]) {
      const { code, stderr } = await exportRun(runId, "--form", form, "--out", outOf("none"));
      expect(code).toBe(2);
      expect(stderr).toContain("export-refused");
      expect(stderr).toContain("allowed: stacked, truncated, merged");
    }
    await expect(readdir(outOf("none"))).rejects.toThrow("ENOENT");
  });

  test("stacked: an adapter of a higher rank that computes the same", async (context) => {
    const { out, result } = await exported(runId, "stacked");

    expect(result).toMatchObject({ form: "stacked", round: 2, baseVersion: 2, rank: 2 + 2 * 4 });
    expect((await readdir(out)).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "fedlora_task.json",
    ]);
    const adapter = await load(out);
    expectClose(await logsOf(workbench.adapt(adapter)), expected);
    await expectPython(context, out, expected);
  });

  test("truncated: the run's rank, and what is left out; nothing is at the full rank", async () => {
    const cut = await exported(runId, "truncated");
    const full = await exported(runId, "truncated", "--rank", "16");

    expect(cut.result).toMatchObject({ form: "truncated", rank: 2 });
    expect(cut.result["leftOut"]).toBeGreaterThan(1e-6);
    expect(cut.result["leftOut"]).toBeLessThan(1);
    expect(cut.result.modules!.map(({ name }) => name)).toContain("bert.encoder.layer.1.intermediate.dense");
    expect((await load(cut.out)).spec).toMatchObject({ rank: 2, alpha: 3 });
    expect(full.result["leftOut"]).toBeLessThan(1e-6);
    expectClose(await logsOf(workbench.adapt(await load(full.out))), expected);
  });

  test("merged: a model that computes the same without an adapter", async (context) => {
    const { out, result } = await exported(runId, "merged", "--model", model);

    expect((await readdir(out)).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
    expect(result["bytes"]).toBeGreaterThan(10_000);
    const merged = await openTinyWorkbench(out, join(folder, "merged-cache"));
    const heads = headsOf(await load((await exported(runId, "stacked")).out));
    expectClose(await logsOf(merged.adapt(heads)), expected);
    await merged.close();
    await expectPython(context, out, expected);
  });

  test("merged needs the base model, and the right one", async () => {
    const without = await exportRun(runId, "--form", "merged", "--out", outOf("none"));
    const wrong = await exportRun(runId, "--form", "merged", "--out", outOf("wrong"), "--model", otherModel);

    expect(without.code).toBe(2);
    expect(without.stderr).toContain("--model FOLDER");
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("model-hash-mismatch");
    expect(wrong.stderr).toContain(workbench.baseModel.manifest.hash);
    expect(await readdir(outOf("wrong")).catch(() => [])).toEqual([]);
  });

  test("people read a table of what was left out", async () => {
    const { code, stdout } = await exportRun(runId, "--form", "truncated", "--out", outOf("table"));

    expect(code).toBe(0);
    expect(stdout).toContain("bert.encoder.layer.0.attention.self.query");
    expect(stdout).toMatch(/round 2 written to .*truncated, rank 2.*; left out 0?\.?\d.* of the change's norm/u);
  });
});

test("a blob that is not there leaves no file", async () => {
  const admin = new AdminClient({ coordinator: coordinator.address });
  const saving = admin.saveBlob("0".repeat(64) as BlobId, join(folder, "blob"));
  await expect(saving).rejects.toMatchObject({ code: "blob-not-found" });
  admin.close();
  expect((await readdir(folder)).filter((name) => name.startsWith("blob"))).toEqual([]);
});

describe("a latent run (fed-sb)", () => {
  let runId: RunId;
  let expected: number[];
  beforeAll(async () => {
    runId = await train("fed-sb", { variant: "latent" });
    expected = await logsOf((await trained(runId, "peft")).model);
  });

  test("exports as the plain adapter that it amounts to", async (context) => {
    const { out } = await exported(runId, "peft");

    const { spec, tensors } = await load(out);
    expect(spec.variant).toBe("lora");
    expect([...tensors.keys()].filter((name) => name.includes("lora_R"))).toEqual([]);
    expectClose(await logsOf(workbench.adapt(await load(out))), expected);
    await expectPython(context, out, expected);
  });

  test("merged, too; its bytes are a model's, and the config names the labels", async () => {
    const { out } = await exported(runId, "merged", "--model", model);

    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8")) as Record<string, unknown>;
    expect(config).toMatchObject({ id2label: { 0: "ham", 1: "spam" } });
    const merged = await openTinyWorkbench(out, join(folder, "merged-cache"));
    const heads = headsOf(await load((await exported(runId, "peft")).out));
    expectClose(await logsOf(merged.adapt(heads)), expected);
    await merged.close();
  });
});
