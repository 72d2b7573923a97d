import { compileRunSpec, loraKeys, type RunSpec, type RunSpecInput } from "@fedlora/core";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ArtifactRef } from "../engine/artifact.js";
import type { BaseModel } from "../models/base-model.js";
import { loadBaseModel } from "../models/load/load-base-model.js";
import { peftFolder } from "../testing/tiny-models.js";
import { compileRun, type CompileRunOptions } from "./compile-run.js";

let folder: string;
let baseModel: BaseModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-compile-"));
  baseModel = await loadBaseModel(join(peftFolder, "bert", "base"), { cacheFolder: folder });
});
afterAll(() => rm(folder, { recursive: true }));

function specOf(adapter: Partial<RunSpecInput["adapter"]> = {}): RunSpec {
  return compileRunSpec(
    {
      name: "tiny",
      model: { hash: baseModel.manifest.hash },
      task: { kind: "sequence-classification", labels: ["a", "b"], maxTokens: 16 },
      adapter: { rank: 3, targetModules: ["query"], ...adapter },
      training: { batchSize: 2 },
      rounds: 1,
      cohort: { size: 1 },
    },
    { manifest: baseModel.manifest },
  );
}
const compiled = (spec: RunSpec, options: CompileRunOptions): Promise<readonly ArtifactRef[]> =>
  compileRun(baseModel, spec, join(folder, "artifacts"), options);
const ranksOf = (artifacts: readonly ArtifactRef[], purpose: string): number[] =>
  artifacts.flatMap(({ manifest: { request } }) => (request.purpose === purpose ? [request.baseDeltaRank] : []));

test("a run that changes its base has graphs for every rank of the changes beside the weights", async () => {
  const artifacts = await compiled(specOf(), { editsBase: true });

  for (const purpose of ["train", "evaluate"]) expect(ranksOf(artifacts, purpose)).toEqual([0, 4, 8, 16, 32, 64]);
  const [query] = baseModel.manifest.modules.filter(({ name }) => name.endsWith("query"));
  const inputs = artifacts.find(({ manifest }) => manifest.request.baseDeltaRank === 16)!.manifest.inputs;
  expect(inputs.find(({ role, tensor }) => role === "base-delta" && tensor === loraKeys(query!.name).a)).toMatchObject({
    shape: [16, query!.dIn],
  });
  expect(new Set(artifacts.map(({ manifest }) => manifest.key)).size).toBe(artifacts.length);
});

test("a start whose product is taken out of the base has those of its rank, any other none", async () => {
  const init = { kind: "file", hash: "0".repeat(64), subtracted: true } as const;

  expect(ranksOf(await compiled(specOf({ init }), { editsBase: false }), "train")).toEqual([4]);
  expect(ranksOf(await compiled(specOf(), { editsBase: false }), "train")).toEqual([0]);
});

test("each set of tensors that are trained together has graphs of its own; they are evaluated by the same", async () => {
  const keys = baseModel.manifest.modules
    .filter(({ name }) => name.endsWith("query"))
    .map(({ name }) => loraKeys(name));
  const trained = [new Set(keys.map(({ b }) => b)), new Set(keys.map(({ a }) => a))];

  const artifacts = await compiled(specOf(), { editsBase: false, trained });

  expect(ranksOf(artifacts, "train")).toHaveLength(2);
  expect(ranksOf(artifacts, "evaluate")).toHaveLength(1);
  const gradients = artifacts.map(({ manifest }) =>
    manifest.outputs.map(({ name }) => name).filter((name) => /lora_[AB]/u.test(name)),
  );
  expect(gradients.some((names) => names.length > 0 && names.every((name) => name.includes("lora_B")))).toBe(true);
  expect(gradients.some((names) => names.length > 0 && names.every((name) => name.includes("lora_A")))).toBe(true);
});
