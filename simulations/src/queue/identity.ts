import { FedLoraError } from "@fedlora/core";
import { z } from "zod";

/** What the bits of a training depend on besides its request: the same for all who take part in a session. */
const contentSchema = z.object({
  engine: z.object({ name: z.string(), fingerprint: z.string(), directives: z.array(z.string()) }),
  /** SHA-256 of the examples. */
  data: z.string(),
  /** Content hash of the base model. */
  model: z.string(),
});

/** A worker process as it announces itself. */
export const workerSchema = contentSchema.extend({
  id: z.string(),
  /** Host and process, for people. */
  name: z.string(),
  /** Trainings at a time. */
  trainers: z.int().min(1),
});

/** A simulation that is under way. */
export const sessionSchema = z.object({
  id: z.string(),
  name: z.string(),
  /** Undefined until its workers are found. */
  content: contentSchema.optional(),
  store: z.object({ url: z.url({ protocol: /^http$/ }), token: z.string() }),
});

export type SharedContent = z.output<typeof contentSchema>;
export type WorkerIdentity = z.output<typeof workerSchema>;
export type Session = z.output<typeof sessionSchema>;

/** Who holds something, for messages. */
export interface Holder extends SharedContent {
  readonly name: string;
}

/**
 * Whether both train to the same bits.
 *
 * @throws FedLoraError `engine-mixed` and `worker-mismatch`, naming both
 */
export function assertSameContent(one: Holder, other: Holder): void {
  const short = (hash: string): string => hash.slice(0, 12);
  if (one.engine.fingerprint !== other.engine.fingerprint) {
    const message = `${one.name} has the engine "${one.engine.fingerprint}", ${other.name} has "${other.engine.fingerprint}"`;
    throw new FedLoraError("engine-mixed", message);
  }
  for (const [what, first, second] of [
    ["data", one.data, other.data],
    ["base model", one.model, other.model],
  ] as const) {
    if (first === second) continue;
    const message = `${one.name} has the ${what} ${short(first)}, ${other.name} has ${short(second)}`;
    throw new FedLoraError("worker-mismatch", message);
  }
}
