import { z } from "zod";

const clients = z.int().min(1).max(1_000_000).describe("Virtual clients; 1 to 1000000. No default.");
const alpha = z
  .number()
  .positive()
  .max(10_000)
  .describe("Concentration of the Dirichlet distribution: small is uneven; above 0, at most 10000. No default.");
const examplesPerClient = z
  .int()
  .min(1)
  .max(1_000_000)
  .optional()
  .describe(
    "Give every client so many examples, drawn from all: clients may then share examples, and may be more than these; 1 to 1000000; default: unset, no two clients share one.",
  );

/** How the examples of a data set become the data of virtual clients. */
export const partitionSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("iid").describe("Examples at random, in equal numbers."),
      clients,
      examplesPerClient,
    }),
    z.strictObject({
      kind: z
        .literal("dirichlet")
        .describe(
          "Each client has its own shares of the labels, drawn from a Dirichlet distribution (Hsu et al. 2019).",
        ),
      clients,
      alpha,
      examplesPerClient,
    }),
    z.strictObject({
      kind: z.literal("quantity").describe("Examples at random, in numbers drawn from a Dirichlet distribution."),
      clients,
      alpha,
    }),
    z.strictObject({
      kind: z.literal("by-key").describe("One client per value of a key of the data: a sender, a president, a domain."),
      key: z.string().min(1).optional().describe("Name of the key; default: the data set's own, see `data`."),
      minExamples: z
        .int()
        .min(1)
        .default(1)
        .describe("Clients with fewer examples are left out; at least 1, default 1."),
      clients: z
        .int()
        .min(1)
        .max(1_000_000)
        .optional()
        .describe("Take so many of them, those with the most examples; default: all."),
    }),
  ])
  .describe("Who has which examples.");

export type PartitionSpec = z.output<typeof partitionSchema>;
