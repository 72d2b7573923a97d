import { expect, test } from "vitest";
import { adaptedLayers } from "./adapted-layers.js";

const named = (name: string, layer: number | null) => ({ name, layer });
const names = (modules: Parameters<typeof adaptedLayers<ReturnType<typeof named>>>[0]) =>
  adaptedLayers(modules).map((layer) => layer.map(({ name }) => name));

test("modules come by layer, from the input to the output", () => {
  const modules = [named("q3", 3), named("v3", 3), named("q7", 7), named("q5", 5)];
  expect(names(modules)).toEqual([["q3", "v3"], ["q5"], ["q7"]]);
});

test("what lies outside the layers belongs to its neighbour", () => {
  const modules = [named("input", null), named("q2", 2), named("q3", 3), named("pooler", null)];
  expect(names(modules)).toEqual([
    ["input", "q2"],
    ["q3", "pooler"],
  ]);
  expect(names([named("only", null)])).toEqual([["only"]]);
});
