import { adapterKeys, blobIdOf, readSafetensors, tensorKindOf } from "@fedlora/core";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { inspectModel } from "@fedlora/client-sdk";
import { createProgram } from "../program.js";

const model = fileURLToPath(new URL("../../../testdata/peft/llama/base", import.meta.url));
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-init-command-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** What the command prints as JSON, and the bytes of the file that it wrote. */
async function init(kind: string, adapter: Record<string, unknown>, ...more: string[]) {
  const spec = {
    name: "start",
    model: { hash: (await inspectModel(model)).hash },
    task: { kind: "causal-lm", maxTokens: 64 },
    method: { name: kind === "gradient" ? "fed-sb" : "fedavg" },
    adapter: { rank: 4, targetModules: ["q_proj"], ...adapter },
    rounds: 3,
    cohort: { size: 1 },
  };
  const [specFile, out] = [join(folder, `${kind}.json`), join(folder, kind, "start.safetensors")];
  await writeFile(specFile, JSON.stringify(spec));
  let printed = "";
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += String(text);
    return true;
  });
  try {
    const args = ["init", kind, "-m", model, "--spec", specFile, "-o", out, "--json", ...more];
    await createProgram("0.0.0").parseAsync(args, { from: "user" });
  } finally {
    write.mockRestore();
  }
  return { result: JSON.parse(printed) as Record<string, unknown>, bytes: await readFile(out) };
}

test("pissa writes the adapter and says what the run spec has to name", async () => {
  const { result, bytes } = await init("pissa", {});

  expect(result["init"]).toEqual({ kind: "file", hash: blobIdOf(bytes), subtracted: true });
  expect([...readSafetensors(bytes).tensors.keys()].map(tensorKindOf)).toContain("lora-a");
  expect((result["metrics"] as Record<string, number>)["leftOut"]).toBeLessThan(1);
});

test("gradient takes the examples of a file, as many as are asked for", async () => {
  const data = join(folder, "data.jsonl");
  await writeFile(
    data,
    '{"prompt":"the meeting","completion":" is today"}\n{"text":"free money now"}\n{"text":"click"}\n',
  );

  const { result, bytes } = await init(
    "gradient",
    { variant: "latent" },
    ...["-d", data, "--examples", "2", "--engine", "onnxruntime-cpu"],
  );

  expect(result["init"]).toEqual({ kind: "file", hash: blobIdOf(bytes) });
  const { tensors } = readSafetensors(bytes);
  expect(tensors.get(adapterKeys("model.layers.0.self_attn.q_proj").r)?.shape).toEqual([4, 4]);
  expect((result["metrics"] as Record<string, number>)["gradientNorm"]).toBeGreaterThan(0);
});
