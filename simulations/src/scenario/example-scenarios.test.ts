import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { assertScenario } from "./check-scenario.js";
import { parseScenario } from "./parse-scenario.js";
import { variantNames } from "./variant-spec.js";

const root = new URL("../../../", import.meta.url);
const files = readdirSync(new URL("examples/scenarios/", root));

test.each(files)("%s passes all that is checked before its data are read", (file) => {
  const text = readFileSync(new URL(`examples/scenarios/${file}`, root), "utf8");
  const scenario = parseScenario(text);
  expect(() => assertScenario(scenario, variantNames(scenario))).not.toThrow();
  expect(`${scenario.name}.yaml`).toBe(file);
  // How to run it stands at its top.
  expect(text).toMatch(new RegExp(`^#   fedlora (compare|simulate) examples/scenarios/${file}$`, "m"));
});

test("the README names scenarios that there are", () => {
  const readme = readFileSync(new URL("README.md", root), "utf8");
  const named = [...readme.matchAll(/examples\/scenarios\/([a-z0-9-]+\.yaml)/g)].map(([, file]) => file);
  expect(named.length).toBeGreaterThan(0);
  expect(files).toEqual(expect.arrayContaining(named));
});
