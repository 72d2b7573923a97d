import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { engineTable, exclusionReason, installedVersion } from "@fedlora/client-sdk/engine";
import type { EngineName } from "@fedlora/client-sdk/engine";
import { atLeast, atMost, machine } from "../bench.js";
import type { Bar, Bench } from "../bench.js";
import type { RowMeasurement } from "./measure-row.js";
import { prepareArtifact, writeRandomWeights } from "./prepare.js";
import { runRow } from "./run-row.js";
import { requestOf, shapes } from "./shapes.js";
import type { ModelShape, ShapeName } from "./shapes.js";

type Row = Readonly<Record<string, string | number>> & { readonly engine: string; readonly model: string };

interface Model {
  readonly shape: ModelShape;
  readonly weightsFile: string;
  readonly plainFolder: string;
  readonly privateFolder: string;
}

/**
 * One LoRA training step (rank 8 on query and value, F32) of two fixed shapes on every engine of this machine. An efficiency
 * is the step's rate over the best plain product of the same engine, threads and process. Rows with `-private` compute a
 * gradient per example; their `overPlain` compares with the plain graph in the same process.
 */
export const trainStepBench: Bench = {
  name: "train-step",
  async run({ quick }) {
    const folder = await mkdtemp(join(tmpdir(), "fedlora-train-step-"));
    try {
      const models: Record<ShapeName, Model> = {
        minilm: await prepareModel("minilm", folder),
        "decoder-30": await prepareModel("decoder-30", folder),
      };
      const results: Row[] = [];
      for (const { engine } of engineTable) {
        if (skipReason(engine) !== undefined) continue;
        const isNative = engine.startsWith("onnxruntime-") && engine !== "onnxruntime-web";
        results.push(await plainRow(engine, models.minilm, stepCount(engine, quick)));
        if (!isNative) continue;
        results.push(await plainRow(engine, models["decoder-30"], stepCount(engine, quick)));
        if (engine !== "onnxruntime-cpu") continue;
        results.push(await privateRow(engine, models.minilm, stepCount(engine, quick)));
        results.push(await privateRow(engine, models["decoder-30"], stepCount(engine, quick)));
      }
      return { bench: "train-step", machine: machine(), results, bars: bars(results) };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

/** The JavaScript backend takes minutes for one step and competes with nothing. */
function skipReason(engine: EngineName): string | undefined {
  const row = engineTable.find((candidate) => candidate.engine === engine);
  if (engine === "tfjs-cpu") return "too slow";
  if (row === undefined || installedVersion(row.packageName) === undefined) return "not installed";
  return exclusionReason(engine);
}

function stepCount(engine: EngineName, quick: boolean): number {
  const isSlow = engine === "tfjs-wasm" || engine === "onnxruntime-web";
  if (quick) return 2;
  return isSlow ? 4 : 16;
}

async function prepareModel(name: ShapeName, folder: string): Promise<Model> {
  const shape = shapes[name];
  const weightsFile = await writeRandomWeights(shape, folder);
  const [plain, perExample] = [
    await prepareArtifact(requestOf(shape, "none"), weightsFile, folder),
    await prepareArtifact(requestOf(shape, "per-example"), weightsFile, folder),
  ];
  return { shape, weightsFile, plainFolder: plain.artifactFolder, privateFolder: perExample.artifactFolder };
}

async function plainRow(engine: EngineName, model: Model, steps: number): Promise<Row> {
  const { shape, weightsFile, plainFolder } = model;
  const row = { engine, model: shape.name };
  const answer = await runRow({ engine, weightsFile, steps, threads: threads(), artifactFolder: plainFolder });
  return "error" in answer ? { ...row, ...answer } : { ...row, ...figures(shape, answer.measurement) };
}

async function privateRow(engine: EngineName, model: Model, steps: number): Promise<Row> {
  const { shape, weightsFile, plainFolder: baselineFolder, privateFolder: artifactFolder } = model;
  const row = { engine, model: `${shape.name}-private` };
  const answer = await runRow({ engine, weightsFile, steps, threads: threads(), artifactFolder, baselineFolder });
  if ("error" in answer) return { ...row, ...answer };
  const { stepMs, baselineStepMs = Number.NaN } = answer.measurement;
  return { ...row, ...figures(shape, answer.measurement), overPlain: round(stepMs / baselineStepMs, 3) };
}

function figures({ batch, length, gflopsPerStep }: ModelShape, measurement: RowMeasurement): Record<string, number> {
  const seconds = measurement.stepMs / 1000;
  const gflops = gflopsPerStep / seconds;
  return {
    stepMs: round(measurement.stepMs, 1),
    tokensPerSecond: round((batch * length) / seconds, 0),
    gflops: round(gflops, 1),
    gemmGflops: round(measurement.gemmGflops, 1),
    efficiency: round(gflops / measurement.gemmGflops, 3),
    peakRssMb: round(measurement.peakRssMb, 0),
    openMs: round(measurement.openMs, 0),
    optimizerMs: round(measurement.applyMs, 1),
  };
}

function bars(rows: readonly Row[]): Bar[] {
  const value = (engine: EngineName, model: string, figure: string): number => {
    const row = rows.find((candidate) => candidate.engine === engine && candidate.model === model);
    return Number(row?.[figure] ?? Number.NaN);
  };
  const native = (model: string, figure: string): number => value("onnxruntime-cpu", model, figure);
  const speedUp = value("tfjs-wasm", "minilm", "stepMs") / native("minilm", "stepMs");
  return [
    atLeast("efficiency on MiniLM, 8 x 128", native("minilm", "efficiency"), 0.6),
    atLeast("efficiency on the 30-layer decoder, 4 x 64", native("decoder-30", "efficiency"), 0.7),
    atLeast("MiniLM step, times eager wasm with explicit transposes", round(speedUp, 1), 10),
    atMost("opening the 30-layer decoder, ms", native("decoder-30", "openMs"), 1500),
    atMost("peak memory of the 30-layer decoder, MB", native("decoder-30", "peakRssMb"), 1500),
    atMost("private step over plain step, MiniLM", native("minilm-private", "overPlain"), 1.05),
    atMost("private step over plain step, 30-layer decoder", native("decoder-30-private", "overPlain"), 1.05),
  ];
}

const threads = availableParallelism;

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
