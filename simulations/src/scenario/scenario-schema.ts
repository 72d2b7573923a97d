import { z } from "zod";
import { claimsSchema, targetSchema } from "./claim-schema.js";
import { dataSchema } from "./data-schema.js";
import { devicesSchema } from "./device-schema.js";
import { misbehaviourSchema } from "./fault-schema.js";
import { modelSchema } from "./model-schema.js";
import { partitionSchema } from "./partition-schema.js";

const seed = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);

const specPart = z.record(z.string(), z.unknown());

/** Parts of the federation that a variant may change, beside the run spec. */
export const federationParts = ["partition", "devices", "misbehaviour"] as const;

/** A scenario as a person writes it: what is learnt, by whom, on what machines, by which methods. */
export const scenarioSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/)
    .describe("The scenario's name: lower-case letters, digits and hyphens, at most 63 characters."),
  description: z.string().max(2000).default("").describe("A sentence or two for the report; default: empty."),
  seeds: z
    .array(seed)
    .min(1)
    .max(100)
    .refine((seeds) => new Set(seeds).size === seeds.length, "no seed twice")
    .default([0])
    .describe(
      "Each variant runs once per seed, which decides the split, the clients' data and machines, the cohorts and the training; 0 to 4294967295, default [0].",
    ),
  data: dataSchema,
  partition: partitionSchema,
  model: modelSchema,
  devices: devicesSchema,
  misbehaviour: misbehaviourSchema,
  testEvery: z
    .int()
    .min(0)
    .default(1)
    .describe("Test the global adapter on the test examples after every n-th round; 0 never, default 1."),
  references: z
    .array(z.enum(["base", "alone"]))
    .default([])
    .describe(
      "What there is without a federation, as further lines of the table: base, the model as it is; alone, every client by itself with as many steps as clients take on average; default: none.",
    ),
  run: specPart.describe(
    "The run spec without name and model; task, evaluation and the seeds have defaults that fit the scenario. See the reference of run specs.",
  ),
  variants: z
    .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$/), specPart)
    .refine((variants) => !Object.hasOwn(variants, "run"), "`run` is the name of the run without a variant")
    .default({})
    .describe(
      "What `fedlora compare` runs side by side: by name, what of the run spec is different, and of partition, devices and misbehaviour; default: the run as it is.",
    ),
  target: targetSchema,
  claims: claimsSchema,
});

export type Scenario = z.output<typeof scenarioSchema>;
