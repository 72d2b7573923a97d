import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { SecretRandom, systemSecret } from "@fedlora/core";
import { atMost } from "../bench.js";
import { prepareArtifact, writeRandomWeights } from "../train-step/prepare.js";
import { runRow } from "../train-step/run-row.js";
import { requestOf, shapes } from "../train-step/shapes.js";
import type { AdapterShape, ShapeName } from "../train-step/shapes.js";
import type { DpSection } from "./dp-bench.js";

interface Setting {
  readonly model: ShapeName;
  readonly title: string;
  readonly adapter: AdapterShape;
  /** Whether the project has set itself a bound on it. */
  readonly hasBars: boolean;
}

const allLinear: AdapterShape = { targets: /./, rank: 16 };
const settings: readonly Setting[] = (["minilm", "decoder-30"] as const).flatMap((model) => [
  { model, title: "query and value, rank 8", adapter: { targets: shapes[model].targets, rank: 8 }, hasBars: true },
  { model, title: "all linear, rank 16", adapter: allLinear, hasBars: false },
]);

/** About as many as a large adapter has. */
const noiseValues = 1_000_000;

/**
 * Steps of DP-SGD on ONNX Runtime's CPU provider, in turns with those of the plain graph: with a clipped gradient per
 * example, and with noise and AdamW on top.
 */
export async function steps({ quick }: { readonly quick: boolean }): Promise<DpSection> {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-dp-"));
  try {
    const results: Readonly<Record<string, unknown>>[] = [measureNoise(quick)];
    const bars = [];
    for (const setting of settings) {
      const row = await measureStep(setting, folder, quick);
      results.push(row);
      if (!setting.hasBars) continue;
      bars.push(atMost(`private step over plain step, ${setting.model}`, row.overPlain, 1.05));
      bars.push(atMost(`with noise and optimizer, ${setting.model}`, row.withNoise, 1.1));
    }
    return { results, bars };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureStep({ model, title, adapter }: Setting, folder: string, quick: boolean) {
  const shape = shapes[model];
  const weightsFile = await writeRandomWeights(shape, folder);
  const plain = await prepareArtifact(requestOf(shape, "none", adapter), weightsFile, folder);
  const perExample = await prepareArtifact(requestOf(shape, "per-example", adapter), weightsFile, folder);
  const answer = await runRow({
    engine: "onnxruntime-cpu",
    weightsFile,
    artifactFolder: perExample.artifactFolder,
    baselineFolder: plain.artifactFolder,
    threads: availableParallelism(),
    steps: quick ? 2 : 24,
    clipAndNoise: true,
  });
  if ("error" in answer) throw new Error(answer.error);
  const { stepMs, baselineStepMs = Number.NaN, applyMs } = answer.measurement;
  return {
    name: `private step, ${model}, ${title}`,
    plainMs: round(baselineStepMs, 1),
    privateMs: round(stepMs, 1),
    noiseAndOptimizerMs: round(applyMs, 1),
    overPlain: round(stepMs / baselineStepMs, 3),
    withNoise: round((stepMs + applyMs) / baselineStepMs, 3),
  };
}

function measureNoise(quick: boolean) {
  const values = new Float64Array(noiseValues);
  const random = new SecretRandom(systemSecret());
  let ms = Number.POSITIVE_INFINITY;
  for (let i = 0; i < (quick ? 2 : 10); i += 1) {
    const start = performance.now();
    random.addNormals(values, 1);
    ms = Math.min(ms, performance.now() - start);
  }
  return { name: "noise on a million values", ms: round(ms, 1) };
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits));
