import {
  FedLoraError,
  isPlanId,
  isRunId,
  type PlanId,
  type PlanKind,
  type PlanPrivacy,
  type PrivacyEvent,
  type RunId,
} from "@fedlora/core";
import { z } from "zod";

const mechanismSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("gaussian"), noiseMultiplier: z.number().positive() }),
  z.strictObject({
    kind: z.literal("sampled-gaussian"),
    noiseMultiplier: z.number().positive(),
    samplingRate: z.number().min(0).max(1),
  }),
  z.strictObject({ kind: z.literal("unbounded"), reason: z.string() }),
]);
const eventsSchema = z.array(z.strictObject({ mechanism: mechanismSchema, count: z.int().min(1) }));
const id = z.int().min(0);

const releaseSchema = z.strictObject({
  atMs: z.number(),
  dataSet: z.string(),
  coordinator: z.string(),
  runId: z.string().refine(isRunId),
  round: z.int().min(0),
  planId: z.string().refine(isPlanId),
  kind: z.enum(["train", "evaluate"]),
  mode: z.enum(["none", "example", "client", "local"]),
  events: eventsSchema,
});

/** One line of the ledger; the meaning of a kind never changes. */
export const ledgerRecordSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("reserve"), id, release: releaseSchema }),
  z.strictObject({ type: z.literal("settle"), id, events: eventsSchema }),
  z.strictObject({ type: z.literal("withdraw"), id }),
]);

export type LedgerRecord = z.output<typeof ledgerRecordSchema>;

/** One release about a data set, or what was to become one. */
export interface LedgerEntry {
  readonly id: number;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** `DataSource.name`. */
  readonly dataSet: string;
  /** Address of the coordinator that asked. */
  readonly coordinator: string;
  readonly runId: RunId;
  readonly round: number;
  readonly planId: PlanId;
  readonly kind: PlanKind;
  readonly mode: PlanPrivacy["mode"] | "none";
  /** At most this much until it is spent, then exactly. */
  readonly events: readonly PrivacyEvent[];
  /** `reserved`: work on it has begun, or a crash ended it, so it counts; `withdrawn`: nothing left the client. */
  readonly state: "reserved" | "spent" | "withdrawn";
}

/** Where records are kept; `append` is durable when it resolves. */
export interface LedgerLog {
  append(record: LedgerRecord): Promise<void>;
}

/**
 * The owner's account of what a client has released about each data set, over all runs and coordinators. A release is
 * reserved before work on it begins and settled before it leaves, each step durable before the next, so a crash at any
 * moment leaves too much in the ledger and never too little.
 */
export class PrivacyLedger {
  readonly #log: LedgerLog;
  readonly #entries = new Map<number, LedgerEntry>();

  /**
   * @param log default: none, the ledger is gone with the process
   * @param records what the log holds
   */
  constructor(log: LedgerLog = { append: () => Promise.resolve() }, records: readonly LedgerRecord[] = []) {
    this.#log = log;
    for (const record of records) this.#take(record);
  }

  /** In the order of their beginning; of one data set, or of all. */
  entries(dataSet?: string): readonly LedgerEntry[] {
    const all = [...this.#entries.values()];
    return dataSet === undefined ? all : all.filter((entry) => entry.dataSet === dataSet);
  }

  /** What has been released about a data set, or may have been. */
  events(dataSet: string): readonly PrivacyEvent[] {
    return this.entries(dataSet).flatMap(({ state, events }) => (state === "withdrawn" ? [] : events));
  }

  /** Counts a release before any data is touched; returns its id. */
  async reserve(entry: Omit<LedgerEntry, "id" | "state">): Promise<number> {
    const next = this.#entries.size;
    await this.#append({ type: "reserve", id: next, release: { ...entry, events: [...entry.events] } });
    return next;
  }

  /** Before the release leaves: counts it with what it really cost. */
  async settle(id: number, events: readonly PrivacyEvent[]): Promise<void> {
    await this.#append({ type: "settle", id, events: [...events] });
  }

  /** Nothing leaves: the reservation counts no more. */
  async withdraw(id: number): Promise<void> {
    await this.#append({ type: "withdraw", id });
  }

  async #append(record: LedgerRecord): Promise<void> {
    this.#assertNext(record);
    await this.#log.append(record);
    this.#take(record);
  }

  #assertNext(record: LedgerRecord): void {
    const known = this.#entries.get(record.id)?.state;
    if (known === (record.type === "reserve" ? undefined : "reserved")) return;
    const message = `privacy ledger: ${record.type} of entry ${record.id}, which is ${known ?? "unknown"}`;
    throw new FedLoraError("file-invalid", message);
  }

  #take(record: LedgerRecord): void {
    this.#assertNext(record);
    if (record.type === "reserve") {
      this.#entries.set(record.id, { id: record.id, ...record.release, state: "reserved" });
      return;
    }
    const entry = this.#entries.get(record.id);
    if (entry === undefined) return;
    const change = record.type === "settle" ? { events: record.events, state: "spent" } : { state: "withdrawn" };
    this.#entries.set(record.id, { ...entry, ...change } as LedgerEntry);
  }
}
