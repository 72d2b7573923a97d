import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import type { ArtifactRequest } from "@fedlora/client-sdk/engine";
import { atMost, machine } from "../bench.js";
import type { Bench } from "../bench.js";
import { prepareArtifact, writeRandomWeights } from "../train-step/prepare.js";
import { runRow } from "../train-step/run-row.js";
import { describeShape, numLayers, requestOf, shapes } from "../train-step/shapes.js";
import type { ModelShape, ShapeName } from "../train-step/shapes.js";

const depths: Readonly<Record<ShapeName, readonly number[]>> = {
  minilm: [5, 4, 3, 2, 1],
  "decoder-30": [20, 15, 10, 5, 1],
};

interface Row {
  readonly [field: string]: string | number;
  readonly model: string;
  readonly depth: number;
}

/**
 * A training step in which only the layers next to the output are trained, against the step that trains all of them:
 * what LEGEND saves a weak device. The two take turns in one process, of each the best step counts; the weights, and the
 * adapters of the layers below, are read by both. The bars hold the processor's time, which other load disturbs least.
 */
export const depthBench: Bench = {
  name: "depth",
  async run({ quick }) {
    const folder = await mkdtemp(join(tmpdir(), "fedlora-depth-"));
    try {
      const results: Row[] = [];
      for (const shape of Object.values(shapes)) results.push(...(await rowsOf(shape, folder, quick ? 2 : 12)));
      const ratio = (model: ShapeName, depth: number): number =>
        Number(results.find((row) => row.model === model && row.depth === depth)?.["processorOfFull"] ?? Number.NaN);
      const bars = [
        atMost("top half of 30 layers, of the full step", ratio("decoder-30", 15), 0.85),
        atMost("top layer of 30 alone, of the full step", ratio("decoder-30", 1), 0.65),
      ];
      return { bench: "depth", machine: machine(), results, bars };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

/** The adapters of the layers below are applied, not trained. */
function atDepth(shape: ModelShape, depth: number): ArtifactRequest {
  const request = requestOf(shape, "none");
  const layers = new Map(describeShape(shape).description.modules.map(({ name, layer }) => [name, layer]));
  const isTrained = (name: string): boolean => (layers.get(name) ?? 0) >= numLayers(shape) - depth;
  return { ...request, adapted: request.adapted.map((module) => ({ ...module, trained: isTrained(module.name) })) };
}

async function rowsOf(shape: ModelShape, folder: string, steps: number): Promise<Row[]> {
  const weightsFile = await writeRandomWeights(shape, folder);
  const full = await prepareArtifact(requestOf(shape, "none"), weightsFile, folder);
  const rows: Row[] = [];
  for (const depth of depths[shape.name]) {
    const { artifactFolder } = await prepareArtifact(atDepth(shape, depth), weightsFile, folder);
    const row = { engine: "onnxruntime-cpu", model: shape.name, layers: numLayers(shape), depth } as const;
    const answer = await runRow({
      engine: row.engine,
      weightsFile,
      steps,
      threads: availableParallelism(),
      artifactFolder,
      baselineFolder: full.artifactFolder,
      products: false,
    });
    if ("error" in answer) {
      rows.push({ ...row, ...answer });
      continue;
    }
    const { stepMs, baselineStepMs = Number.NaN } = answer.measurement;
    const { processorMs, baselineProcessorMs = Number.NaN } = answer.measurement;
    const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));
    rows.push({
      ...row,
      stepMs: rounded(stepMs, 1),
      fullMs: rounded(baselineStepMs, 1),
      ofFull: rounded(stepMs / baselineStepMs, 3),
      processorOfFull: rounded(processorMs / baselineProcessorMs, 3),
    });
  }
  return rows;
}
