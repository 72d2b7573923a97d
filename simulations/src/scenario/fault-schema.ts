import { z } from "zod";

const share = z
  .number()
  .gt(0)
  .max(1)
  .describe(
    "Share of the clients that do this, to the nearest client and at least one, chosen by the seed; above 0, at most 1. No default.",
  );
const prob = z.number().gt(0).max(1).default(1).describe("Probability per update; above 0, at most 1, default 1.");
const common = { share, prob };

/** What goes wrong on the way, by accident. */
const faults = [
  z.strictObject({ kind: z.literal("lost").describe("The client vanishes with its finished update."), ...common }),
  z.strictObject({
    kind: z.literal("late").describe("The update is delivered late."),
    ...common,
    delayMs: z.number().positive().describe("How much later, in virtual milliseconds; above 0. No default."),
  }),
  z.strictObject({ kind: z.literal("duplicated").describe("The update is delivered twice."), ...common }),
  z.strictObject({
    kind: z.literal("corrupted").describe("A byte of the first chunk changes on the way; the client sends it again."),
    ...common,
  }),
] as const;

/** What clients do on purpose. */
const attacks = [
  z.strictObject({ kind: z.literal("not-finite").describe("The update holds a NaN."), ...common }),
  z.strictObject({
    kind: z.literal("sign-flip").describe("The change is turned round."),
    ...common,
    factor: z.number().positive().default(1).describe("And multiplied by this; above 0, default 1."),
  }),
  z.strictObject({
    kind: z.literal("scaling").describe("The change is multiplied."),
    ...common,
    factor: z.number().positive().default(10).describe("By how much; above 0, default 10."),
  }),
  z.strictObject({ kind: z.literal("label-flip").describe("Trains on label L - 1 - l instead of l."), share }),
  z.strictObject({
    kind: z.literal("collusion").describe("All attackers of a round send one and the same random change."),
    ...common,
    norm: z.number().positive().default(10).describe("Its L2 norm; above 0, default 10."),
  }),
  z.strictObject({
    kind: z.literal("free-rider").describe("Sends what it received, without training."),
    ...common,
  }),
  z.strictObject({
    kind: z.literal("count-gaming").describe("Claims more examples than it has, to count for more."),
    ...common,
    factor: z.number().min(1).default(1000).describe("By how much; at least 1, default 1000."),
  }),
] as const;

export const misbehaviourSchema = z
  .array(z.discriminatedUnion("kind", [...faults, ...attacks]))
  .default([])
  .describe("Faults and attacks; a client may do several; default: none.");

export type Misbehaviour = z.output<typeof misbehaviourSchema>[number];
export type MisbehaviourKind = Misbehaviour["kind"];
