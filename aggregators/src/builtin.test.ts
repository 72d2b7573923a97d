import { expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import { fedavg } from "./method/fedavg.js";
import { describeMethod } from "./testing/method-contract.js";
import type { MethodCase, OracleUpdate } from "./testing/method-contract.js";

/** One row per method of the package. */
const cases: readonly MethodCase[] = [{ definition: fedavg, options: {}, oracle: meanOfDeltas }];

for (const row of cases) describeMethod(row);

test("every built-in method has a row in this table", () => {
  expect(cases.map(({ definition }) => definition.name).sort()).toEqual([...builtinMethods.keys()].sort());
});

function meanOfDeltas(name: string, global: Float64Array, updates: readonly OracleUpdate[]): Float64Array {
  const total = updates.reduce((sum, { weight }) => sum + weight, 0);
  return global.map((from, i) =>
    updates.reduce((sum, { weight, tensors }) => sum + (weight / total) * tensors.get(name)![i]!, from),
  );
}
