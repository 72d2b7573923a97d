import { RandomStream, deriveKey, randomKey } from "@fedlora/core";
import type { DataSpec } from "../scenario/data-schema.js";
import { numbered } from "./data-shape.js";
import { FeatureTableBuilder, vectorData, type SimulationData } from "./simulation-data.js";

type Synthetic = Extract<DataSpec, { kind: "synthetic" }>;

/** One Gaussian cloud per label around a random centre; the same numbers for every seed of a scenario. */
export function syntheticData({ examples, features, labels, spread }: Synthetic): SimulationData {
  const key = randomKey(1);
  const scale = Math.sqrt(2 / features);
  const centres = Array.from({ length: labels }, (_, label) =>
    new RandomStream(deriveKey(key, "centre", label)).normals(features, scale),
  );
  const stream = new RandomStream(deriveKey(key, "examples"));
  const table = new FeatureTableBuilder(features);
  for (let row = 0; row < examples; row += 1) {
    const label = row % labels;
    const centre = centres[label];
    table.add(
      Float32Array.from({ length: features }, (_, index) => (centre?.[index] ?? 0) + spread * scale * stream.normal()),
      label,
    );
  }
  const source = `Gaussian clouds, ${labels} labels, ${features} features, spread ${spread}`;
  return vectorData({ name: "synthetic", source, licence: "none needed" }, table.build(), numbered(labels));
}
