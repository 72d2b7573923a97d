import { adapterSchema } from "@fedlora/core";
import type { AdapterSpec } from "@fedlora/core";
import { expect, test } from "vitest";
import { describeInitialisation } from "../testing/initialisation-contract.js";
import type { InitialisationCase } from "../testing/initialisation-contract.js";
import { builtinInitialisations } from "./initialisation-of.js";

const hash = "0".repeat(64);
const initOf = (init: Partial<AdapterSpec["init"]>, variant: AdapterSpec["variant"] = "lora"): AdapterSpec["init"] =>
  adapterSchema.parse({ rank: 2, targetModules: ["query"], variant, init }).init;

/** At least one row per initialisation of the package. */
const cases: readonly InitialisationCase[] = [
  { init: initOf({ kind: "seeded" }), variant: "lora", method: "fedavg" },
  { init: initOf({ kind: "seeded" }), variant: "latent", method: "fed-sb" },
  { init: initOf({ kind: "gradient" }, "latent"), variant: "latent", method: "fed-sb" },
  { init: initOf({ kind: "activation", iterations: 2 }), variant: "lora", method: "fedavg" },
  { init: initOf({ kind: "activation", iterations: 1 }), variant: "lora", method: "ffa-lora" },
  { init: initOf({ kind: "file", hash }), variant: "latent", method: "fed-sb" },
  { init: initOf({ kind: "file", hash, subtracted: true }), variant: "lora", method: "fedavg" },
];

for (const row of cases) describeInitialisation(row);

test("every initialisation has a row in this table", () => {
  expect([...new Set(cases.map(({ init }) => init.kind))].sort()).toEqual(Object.keys(builtinInitialisations).sort());
});
