import { FedLoraError, RandomStream, deriveKey, type RandomKey } from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { z } from "zod";
import type { AvailabilitySpec, DevicesSpec } from "../scenario/device-schema.js";

/** When the clients of a population can take part; all times in virtual milliseconds from the start. */
export interface Availability {
  isOn(client: number, atMs: number): boolean;
  /** When a client that is on now goes off; Infinity: never. */
  offAt(client: number, atMs: number): number;
}

/** A pattern that repeats: on within each [from, to). */
interface Pattern {
  readonly periodMs: number;
  readonly on: readonly (readonly [number, number])[];
}

const always: Pattern = { periodMs: Number.POSITIVE_INFINITY, on: [[0, Number.POSITIVE_INFINITY]] };

const traceSchema = z
  .strictObject({
    periodMs: z.number().positive(),
    on: z.array(z.tuple([z.number().min(0), z.number().min(0)])).min(1),
  })
  .refine(({ on, periodMs }) =>
    on.every(([from, to], i) => from < to && to <= periodMs && from >= (on[i - 1]?.[1] ?? 0)),
  );

/**
 * @param folder where a trace's relative path begins
 * @throws FedLoraError `file-missing`, `data-invalid` naming the line of a trace
 */
export async function openAvailability(spec: DevicesSpec, key: RandomKey, folder: string): Promise<Availability> {
  const { availability, churn } = spec;
  const patternOf = await patterns(availability, key, folder);
  const lifeOf = (client: number): readonly [number, number] => {
    if (churn.arriveOverMs === 0 && churn.stayMs === undefined) return [0, Number.POSITIVE_INFINITY];
    const stream = new RandomStream(deriveKey(key, "churn", client));
    const from = churn.arriveOverMs * stream.uniform();
    const stay = churn.stayMs === undefined ? Number.POSITIVE_INFINITY : -churn.stayMs * Math.log(1 - stream.uniform());
    return [from, from + stay];
  };
  return {
    isOn: (client, atMs) => {
      const [from, to] = lifeOf(client);
      return atMs >= from && atMs < to && untilOff(patternOf(client), atMs) > 0;
    },
    offAt: (client, atMs) => Math.min(lifeOf(client)[1], atMs + untilOff(patternOf(client), atMs)),
  };
}

/** Milliseconds until the pattern goes off; 0 where it is off. */
function untilOff({ pattern, phaseMs }: { pattern: Pattern; phaseMs: number }, atMs: number): number {
  const at = pattern.periodMs === Number.POSITIVE_INFINITY ? atMs : (atMs + phaseMs) % pattern.periodMs;
  const current = pattern.on.find(([from, to]) => at >= from && at < to);
  return current === undefined ? 0 : current[1] - at;
}

async function patterns(
  spec: AvailabilitySpec,
  key: RandomKey,
  folder: string,
): Promise<(client: number) => { pattern: Pattern; phaseMs: number }> {
  switch (spec.kind) {
    case "always":
      return () => ({ pattern: always, phaseMs: 0 });
    case "cycle":
      return (client) => {
        const stream = new RandomStream(deriveKey(key, "availability", client));
        // Between a half and one and a half of the mean, so that nobody moves in step.
        const onMs = spec.onMs * (0.5 + stream.uniform());
        const periodMs = onMs + spec.offMs * (0.5 + stream.uniform());
        return { pattern: { periodMs, on: [[0, onMs]] }, phaseMs: periodMs * stream.uniform() };
      };
    case "trace": {
      const lines = await readTrace(resolve(folder, spec.path));
      return (client) => ({ pattern: lines[client % lines.length] ?? always, phaseMs: 0 });
    }
  }
}

async function readTrace(path: string): Promise<readonly Pattern[]> {
  const content = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new FedLoraError("file-missing", `devices.availability.path: cannot read "${path}"`, { cause });
  });
  const lines = content.split("\n").flatMap((line, index) => {
    if (line.trim() === "") return [];
    try {
      return [traceSchema.parse(JSON.parse(line))];
    } catch (cause) {
      const message = `${path}:${index + 1} must be {"periodMs", "on": [[from, to], ...]} with ascending times within the period`;
      throw new FedLoraError("data-invalid", message, { cause });
    }
  });
  if (lines.length === 0) throw new FedLoraError("data-invalid", `${path} holds no device`);
  return lines;
}
