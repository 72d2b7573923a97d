import { z } from "zod";

const share = z.number().min(0).max(1);
const time = z
  .number()
  .positive()
  .max(365 * 24 * 3_600_000);

/**
 * Share of the forward pass in a full step: the line forward + depth x layer through the measured processor times of a model
 * of 30 layers (docs/benchmarks/depth.json: the top layer alone 0.550 of the full step, the top half 0.765), by least squares.
 */
export const measuredForwardShare = 0.537;

const rate = z.number().positive();

const deviceClassSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/)
    .describe(
      "Name of the class, for reports and for rankPlan tiers, which its clients declare it to: lower-case letters, digits and hyphens, at most 32 characters. No default.",
    ),
  share: z
    .number()
    .positive()
    .default(1)
    .describe("How many of the clients, relative to the other classes; default 1."),
  stepMs: time
    .default(100)
    .describe(
      "Virtual milliseconds of one micro-batch, forward and backward, at full rank and depth; above 0, default 100.",
    ),
  forwardShare: z
    .number()
    .gt(0)
    .lt(1)
    .default(measuredForwardShare)
    .describe(
      `Share of the forward pass in stepMs; the backward pass takes the rest, in equal parts for the model's layers, and ends at the lowest one that is trained. Between 0 and 1, default ${measuredForwardShare}: measured with the top half and the top layer of 30 (docs/benchmarks/depth.json).`,
    ),
  downloadBytesPerSecond: z.number().positive().default(15e6).describe("Above 0, default 15000000."),
  uploadBytesPerSecond: z
    .union([
      rate,
      z
        .strictObject({
          mean: rate.describe("Of the normal distribution. No default."),
          std: z.number().min(0).describe("Its standard deviation; at least 0. No default."),
          min: rate.describe("What is drawn below counts as this; above 0. No default."),
          max: rate.describe("What is drawn above counts as this; at least min. No default."),
        })
        .refine(({ min, max }) => min <= max, { error: "max is below min", path: ["max"] }),
    ])
    .default(2e6)
    .describe(
      "A number, or {mean, std, min, max}: each client's own, normal and cut off at min and max; above 0, default 2000000.",
    ),
  latencyMs: z.number().min(0).default(50).describe("Before each transfer, in milliseconds; at least 0, default 50."),
  maxRank: z
    .int()
    .min(1)
    .max(256)
    .optional()
    .describe("Largest LoRA rank that the device says it can train, for rankPlan; 1 to 256, default: unset, any."),
  memoryBytes: z
    .number()
    .positive()
    .default(8e9)
    .describe("Memory that the device says it has; above 0, default 8000000000."),
});

export type DeviceClass = z.output<typeof deviceClassSchema>;

const availabilitySchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("always").describe("Every client can take part at any time.") }),
  z.strictObject({
    kind: z.literal("cycle").describe("On and off by turns, each client with a phase of its own."),
    onMs: time.describe("Mean time available; above 0, at most a year. No default."),
    offMs: time.describe("Mean time away; above 0, at most a year. No default."),
  }),
  z.strictObject({
    kind: z.literal("trace").describe("Times from a file, repeated when it ends."),
    path: z
      .string()
      .min(1)
      .describe(
        'JSON lines, one per device: {"periodMs": 86400000, "on": [[from, to], ...]} in milliseconds; client i follows line i modulo their number. No default.',
      ),
  }),
]);

export type AvailabilitySpec = z.output<typeof availabilitySchema>;

/** What the virtual clients' machines are like. */
export const devicesSchema = z
  .strictObject({
    classes: z
      .array(deviceClassSchema)
      .min(1)
      .default(() => [deviceClassSchema.parse({ name: "device" })])
      .describe("Classes of compute and bandwidth; clients are assigned at random by their shares; default: one."),
    speedSpread: z
      .number()
      .min(0)
      .max(3)
      .default(0)
      .describe(
        "Standard deviation of the logarithm of a client's own speed factor; 0 to 3, default 0: all of a class alike.",
      ),
    stragglers: z
      .strictObject({
        share: share.describe("Share of the clients; 0 to 1. No default."),
        slowdown: z.number().min(1).describe("Times slower at computing; at least 1. No default."),
      })
      .optional()
      .describe("Some clients are much slower than their class; default: none."),
    dropout: z
      .strictObject({
        prob: share.describe("Probability that a client vanishes during a plan; 0 to 1. No default."),
        awayMs: time.default(600_000).describe("Until it can come back; above 0, default 600000."),
      })
      .optional()
      .describe("Clients vanish without a word in the middle of their work; default: none."),
    availability: availabilitySchema
      .prefault({ kind: "always" })
      .describe("When clients can take part; default always. Whoever is switched off loses the work under way."),
    churn: z
      .strictObject({
        arriveOverMs: z
          .number()
          .min(0)
          .default(0)
          .describe("Clients first appear at a random time up to this; default 0."),
        stayMs: time
          .optional()
          .describe("Mean time after which a client leaves for good; above 0, default: unset, never."),
      })
      .prefault({})
      .describe("Clients come and go for good; default: they do not."),
    stepMemory: z
      .strictObject({
        forwardBytes: z.number().positive().describe("Of a step that trains no layer, weights included. No default."),
        layerBytes: z.number().min(0).describe("What each trained layer adds. No default."),
      })
      .optional()
      .describe(
        "Memory that a training step takes, as devices report it beside memoryBytes; rankPlan legend gives nobody more layers than fit; default: unset, memory limits nothing.",
      ),
    waiting: z
      .union([z.int().min(1), z.literal("all")])
      .optional()
      .describe(
        "Clients that wait for a plan at a time, drawn evenly from those available; a number, or all; default: all up to 1000 clients, else a quarter more than a round has plans.",
      ),
  })
  .prefault({})
  .describe("The virtual clients' machines.");

export type DevicesSpec = z.output<typeof devicesSchema>;
