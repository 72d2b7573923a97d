import { expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import { fedavg } from "./method/fedavg.js";
import { meanOfUploads } from "./testing/oracles.js";
import { describeMethod } from "./testing/method-contract.js";
import type { MethodCase } from "./testing/method-case.js";

/** At least one row per method of the package, by name. */
const cases: readonly MethodCase[] = [{ definition: fedavg, options: {}, oracle: meanOfUploads }];

for (const row of cases) describeMethod(row);

test("every built-in method has a row in this table", () => {
  expect([...new Set(cases.map(({ definition }) => definition.name))].sort()).toEqual(
    [...builtinMethods.keys()].sort(),
  );
});
