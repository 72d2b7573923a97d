import { expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import { fedavg } from "./method/fedavg.js";
import { fedsaLora } from "./method/fedsa-lora.js";
import { ffaLora } from "./method/ffa-lora.js";
import { legend } from "./method/legend.js";
import { mixedRanks } from "./testing/method-case.js";
import type { MethodCase } from "./testing/method-case.js";
import { describeMethod } from "./testing/method-contract.js";
import { meanOfOwners } from "./testing/oracles.js";

const adapter = { rank: 2, targetModules: ["query"] };
const fewerModules = "a client may hold fewer modules, and then sends none of their tensors";

/** At least one row per method of the package, by name. */
const cases: readonly MethodCase[] = [
  { definition: fedavg, options: {}, oracle: meanOfOwners },
  { definition: fedsaLora, options: {}, oracle: meanOfOwners },
  {
    definition: fedsaLora,
    label: "vera",
    options: { warmUpSteps: 0 },
    spec: { adapter: { ...adapter, variant: "vera" } },
    oracle: meanOfOwners,
  },
  { definition: ffaLora, options: {}, except: { "missing-factor": fewerModules }, oracle: meanOfOwners },
  {
    definition: ffaLora,
    label: "mixed ranks",
    options: {},
    ranks: mixedRanks,
    except: { "missing-factor": fewerModules },
    oracle: meanOfOwners,
  },
  { definition: legend, options: {}, oracle: meanOfOwners },
  { definition: legend, label: "mixed ranks", options: {}, ranks: mixedRanks, oracle: meanOfOwners },
];

for (const row of cases) describeMethod(row);

test("every built-in method has a row in this table", () => {
  expect([...new Set(cases.map(({ definition }) => definition.name))].sort()).toEqual(
    [...builtinMethods.keys()].sort(),
  );
});
