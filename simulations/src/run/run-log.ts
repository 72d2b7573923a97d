import type { ClientEvent } from "@fedlora/client-sdk";
import type { RoundSummary } from "@fedlora/coordinator";
import type { EvaluationCounts, TaskSpec } from "@fedlora/core";
import type { TrainedPart } from "../device/step-depth.js";
import { withPerplexity, type TestMetrics } from "../metrics/perplexity.js";
import { ClassRounds } from "./class-rounds.js";
import { perClient } from "./per-client.js";
import type { RoundRow } from "./round-row.js";

/** Gathers what happens in a run into rows and counts. */
export class RunLog {
  readonly refusals: Record<string, number> = {};
  readonly declines: Record<string, number> = {};
  readonly classes: Record<string, number> = {};
  trainings = 0;
  readonly #rows: RoundRow[] = [];
  readonly #variant: string;
  readonly #seed: number;
  readonly #task: TaskSpec;
  readonly #now: () => number;
  readonly #classOf: (client: number) => string;
  readonly #byClass: ClassRounds;
  readonly #participants = new Set<number>();
  /** Times of delivery of the updates of each open round. */
  readonly #delivered = new Map<number, number[]>();
  /** What clients measured on their own examples: finished but not delivered, and delivered, by round. */
  readonly #measured = new Map<number, EvaluationCounts>();
  readonly #evaluations = new Map<number, EvaluationCounts[]>();
  readonly #summaries = new Map<number, RoundSummary>();
  readonly #tests = new Map<number, TestMetrics>();

  constructor(variant: string, seed: number, task: TaskSpec, now: () => number, classOf: (client: number) => string) {
    this.#variant = variant;
    this.#seed = seed;
    this.#task = task;
    this.#now = now;
    this.#classOf = classOf;
    this.#byClass = new ClassRounds(classOf);
  }

  /** A client begins to train a part of the adapter. */
  training(client: number, round: number, part: TrainedPart): void {
    this.#byClass.trained(client, round, part);
  }

  clientEvent(client: number, event: ClientEvent): void {
    if (event.type === "plan" && event.plan.kind === "train") this.#count(client);
    if (event.type === "declined") increment(this.declines, event.code);
    if (event.type === "evaluated") this.#measured.set(client, event.counts);
    if (event.type !== "accepted") return;
    const { round, blobId } = event.receipt;
    if (blobId === "") {
      const counts = this.#measured.get(client);
      if (counts !== undefined) append(this.#evaluations, round, counts);
      this.#measured.delete(client);
      return;
    }
    this.trainings += 1;
    this.#byClass.delivered(client, round, this.#now());
    append(this.#delivered, round, this.#now());
  }

  refused(code: string): void {
    increment(this.refusals, code);
  }

  tested(round: number, test: TestMetrics): void {
    this.#tests.set(round, test);
  }

  /** The latest word on a round; what was said before of it is replaced. */
  summary(summary: RoundSummary): void {
    this.#summaries.set(summary.round, summary);
  }

  /** Writes the row of a round that is over, all but what its clients measured one by one. */
  finish(round: number): RoundRow | undefined {
    const summary = this.#summaries.get(round);
    if (summary === undefined) return undefined;
    this.#measureLast();
    this.#summaries.delete(round);
    const times = this.#delivered.get(round) ?? [];
    this.#delivered.delete(round);
    const last = Math.max(...times);
    const { planned, accepted, refused, declined, dropouts, trainLoss, evaluation, bytesUp, bytesDown } = summary;
    const row: RoundRow = {
      variant: this.#variant,
      seed: this.#seed,
      round,
      endMs: this.#now(),
      durationMs: summary.durationMs,
      planned,
      accepted,
      refused,
      declined,
      dropouts,
      trainLoss,
      test: this.#tests.get(round),
      evaluation: evaluation && { ...withPerplexity(this.#task, evaluation) },
      perClient: undefined,
      bytesUp,
      bytesDown,
      waitingMs: times.length === 0 ? undefined : times.reduce((sum, at) => sum + last - at, 0) / times.length,
      classes: this.#byClass.finish(round),
      epsilon: undefined,
      methodMetrics: summary.methodMetrics,
      adapter: summary.adapterBlobId,
    };
    this.#tests.delete(round);
    this.#rows.push(row);
    return row;
  }

  /** The rows of a run that is over. */
  rows(): readonly RoundRow[] {
    this.#measureLast();
    return this.#rows;
  }

  /** Whose answer ends an evaluation hears that it was accepted after the row is written, but before the next one is. */
  #measureLast(): void {
    const last = this.#rows.at(-1);
    const counts = last && this.#evaluations.get(last.round);
    if (last?.evaluation === undefined || counts === undefined) return;
    this.#evaluations.delete(last.round);
    this.#rows.splice(-1, 1, { ...last, perClient: perClient(counts) });
  }

  #count(client: number): void {
    if (this.#participants.has(client)) return;
    this.#participants.add(client);
    increment(this.classes, this.#classOf(client));
  }
}

function append<T>(lists: Map<number, T[]>, key: number, value: T): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function increment(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}
