import { randomKey } from "@fedlora/core";
import { expect, test } from "vitest";
import type { ArtifactInput } from "../engine/artifact.js";
import { drawDropoutMasks, streamPerModule } from "./dropout-masks.js";

const input = (name: string, shape: number[]): ArtifactInput => ({
  name: `dropout:${name}`,
  role: "dropout-mask",
  dtype: "F32",
  shape,
  tensor: name,
});
const manifest = {
  inputs: [
    { name: "input_ids", role: "tokens", dtype: "I32", shape: [4, 8] } as const,
    input("query", [4, 100, 125]),
    input("value", [4, 100, 125]),
  ],
};
const draw = (seed: number, probability: number) =>
  drawDropoutMasks(manifest, streamPerModule(randomKey(seed)), probability, () => Promise.resolve());

test("values are 0 or 1 / (1 - p), zeros as often as p says; modules and keys differ", async () => {
  const masks = await draw(1, 0.2);

  const query = masks.get("dropout:query")!;
  expect([...masks.keys()]).toEqual(["dropout:query", "dropout:value"]);
  expect(new Set(query)).toEqual(new Set([0, Math.fround(1.25)]));
  const zeros = query.filter((value) => value === 0).length;
  // 50,000 draws: a deviation of 6 standard errors (537) happens once in 5e8 seeds; the seed is fixed.
  expect(Math.abs(zeros - 10_000)).toBeLessThan(537);
  expect(query).not.toEqual(masks.get("dropout:value"));
  expect(query).toEqual((await draw(1, 0.2)).get("dropout:query"));
  expect(query).not.toEqual((await draw(2, 0.2)).get("dropout:query"));
});
