import { join } from "node:path";
import { elementCount } from "@fedlora/core";
import { writeSafetensorsFile } from "@fedlora/core/node";
import { compileArtifact, readWeightPlaces } from "@fedlora/client-sdk/engine";
import type { ArtifactRequest } from "@fedlora/client-sdk/engine";
import { describeShape } from "./shapes.js";
import type { ModelShape } from "./shapes.js";

/** Weights of a trained model's size around zero, norms around one; the values do not change the time of a step. */
export async function writeRandomWeights(shape: ModelShape, folder: string): Promise<string> {
  const path = join(folder, `${shape.name}.safetensors`);
  const layout = describeShape(shape).description.weights;
  const shapes = new Map(layout.map((spec) => [spec.name, spec.shape]));
  const next = linearCongruential(1);
  await writeSafetensorsFile(
    path,
    layout,
    (name) => {
      const size = shapes.get(name) ?? [];
      const [middle, spread] = size.length === 1 && name.endsWith(".weight") ? [1, 0.02] : [0, 0.07];
      const values = new Float32Array(elementCount(size));
      for (let i = 0; i < values.length; i++) values[i] = middle + spread * (next() - 0.5);
      return new Uint8Array(values.buffer);
    },
    { alignment: 64, alignTensors: true },
  );
  return path;
}

export interface Prepared {
  readonly artifactFolder: string;
  readonly compileMs: number;
}

export async function prepareArtifact(
  request: ArtifactRequest,
  weightsFile: string,
  folder: string,
): Promise<Prepared> {
  const start = performance.now();
  const artifact = await compileArtifact({
    request,
    weights: readWeightPlaces(weightsFile),
    outputFolder: join(folder, "artifacts"),
  });
  return { artifactFolder: artifact.folder, compileMs: performance.now() - start };
}

/** Numerical Recipes' generator, [0, 1): quick, and the same everywhere. */
export function linearCongruential(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
