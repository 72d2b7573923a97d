import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { miniLmFolder, storiesFolder } from "../../testing/model-folders.js";
import { loadBaseModel } from "./load-base-model.js";

let cacheFolder: string;
beforeAll(async () => {
  cacheFolder = await mkdtemp(join(tmpdir(), "fedlora-weights-"));
});
afterAll(() => rm(cacheFolder, { recursive: true }));

test("all-MiniLM-L6-v2: half-precision file with another name, names without prefix, position_ids left out", async () => {
  const model = await loadBaseModel(miniLmFolder, { cacheFolder });

  expect(model.manifest).toMatchObject({
    family: "bert",
    name: "nreimers/MiniLM-L6-H384-uncased",
    numLayers: 6,
    // models-and-data.md, table 3: every parameter but position_ids.
    numParameters: 22_713_216,
    heads: [{ name: "classifier", dIn: 384, dOut: null }],
  });
  expect(model.manifest.tensors).toHaveLength(103);
  expect(model.manifest.modules.map(({ name }) => name)).toContain("bert.encoder.layer.5.attention.self.query");
  expect(model.maxPositions).toBe(512);
  const { size } = await stat(await model.weightsFile());
  expect(size).toBeGreaterThan(4 * 22_713_216);
  expect(size).toBeLessThan(4 * 22_713_216 + 32_768);
});

test.skipIf(storiesFolder === undefined)(
  "stories260K: Meta's names, tied head, tok512.bin (skipped without ../shared/data)",
  async () => {
    const model = await loadBaseModel(storiesFolder!, { cacheFolder });

    expect(model.manifest).toMatchObject({
      family: "llama",
      name: "stories260K",
      numLayers: 5,
      numParameters: 260_032,
    });
    expect(model.manifest.tensors.map(({ name }) => name)).toContain("model.layers.4.mlp.down_proj.weight");
    expect(model.tokenizer.encode("Once")).toEqual([1, 403]);
  },
);
