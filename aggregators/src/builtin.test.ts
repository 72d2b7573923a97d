import { expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import { fedavg } from "./method/fedavg.js";
import { fedSb } from "./method/fed-sb.js";
import { fedsaLora } from "./method/fedsa-lora.js";
import { ffaLora } from "./method/ffa-lora.js";
import { flasc } from "./method/flasc.js";
import { hetlora } from "./method/hetlora.js";
import { legend } from "./method/legend.js";
import { qFfl } from "./method/q-ffl.js";
import { rolora } from "./method/rolora.js";
import { mixedRanks } from "./testing/method-case.js";
import type { MethodCase } from "./testing/method-case.js";
import { describeMethod } from "./testing/method-contract.js";
import { fairStep, meanByProductNorms, meanOfOwners } from "./testing/oracles.js";
import { productCases } from "./testing/product-cases.js";
import { robustCases } from "./testing/robust-cases.js";
import { wrapperCases } from "./testing/wrapper-cases.js";

const adapter = { rank: 2, targetModules: ["query"] };
const fewerModules = "a client may hold fewer modules, and then sends none of their tensors";
const oneFactorChanged = "the factor that changed in the round before travels by its hash";
const normWeights = "weights are float64 norms, rounded to float32";

/** At least one row per method of the package, by name. */
const cases: readonly MethodCase[] = [
  { definition: fedavg, options: {}, oracle: meanOfOwners },
  {
    definition: fedSb,
    options: {},
    spec: { adapter: { ...adapter, variant: "latent" } },
    except: { "missing-factor": fewerModules },
    oracle: meanOfOwners,
  },
  {
    definition: fedSb,
    label: "mixed ranks",
    options: {},
    spec: { adapter: { ...adapter, variant: "latent" } },
    ranks: mixedRanks,
    except: { "missing-factor": fewerModules },
    oracle: meanOfOwners,
  },
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
  { definition: flasc, options: {}, oracle: meanOfOwners },
  {
    definition: hetlora,
    options: { maxNormRatio: 1e6 },
    except: { bits: normWeights, "missing-factor": fewerModules },
    oracle: meanByProductNorms,
  },
  {
    definition: hetlora,
    label: "mixed ranks",
    options: { maxNormRatio: 1e6 },
    ranks: mixedRanks,
    except: { bits: normWeights, "missing-factor": fewerModules },
    oracle: meanByProductNorms,
  },
  { definition: legend, options: {}, oracle: meanOfOwners },
  { definition: legend, label: "mixed ranks", options: {}, ranks: mixedRanks, oracle: meanOfOwners },
  { definition: qFfl, label: "q = 0", options: { q: 0 }, oracle: meanOfOwners },
  {
    definition: qFfl,
    options: { q: 0.7, lipschitz: 10 },
    except: {
      bits: "weights are float64 powers of losses, rounded to float32",
      "own-adapter": "the step is damped by the size of the change, also that of one client",
      "extreme-values": "the divisor holds squared norms, which leave float32 at values of 1e19",
    },
    oracle: fairStep({ q: 0.7, lipschitz: 10 }),
  },
  {
    definition: rolora,
    label: "odd round",
    options: {},
    except: { "download-bytes": oneFactorChanged },
    oracle: meanOfOwners,
  },
  {
    definition: rolora,
    label: "even round",
    options: {},
    round: 2,
    except: { "download-bytes": oneFactorChanged },
    oracle: meanOfOwners,
  },
  ...productCases,
  ...robustCases,
  ...wrapperCases,
];

for (const row of cases) describeMethod(row);

test("every built-in method has a row in this table", () => {
  expect([...new Set(cases.map(({ definition }) => definition.name))].sort()).toEqual(
    [...builtinMethods.keys()].sort(),
  );
});
