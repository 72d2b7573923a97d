import type { TestMetrics } from "../metrics/perplexity.js";
import type { ClassRound } from "./class-rounds.js";
import type { PerClient } from "./per-client.js";

/** One committed round of one run: a line of rounds.jsonl. Times are virtual milliseconds. */
export interface RoundRow {
  readonly variant: string;
  readonly seed: number;
  readonly round: number;
  /** When the round was over, counted from the run's start. */
  readonly endMs: number;
  readonly durationMs: number;
  readonly planned: number;
  readonly accepted: number;
  readonly refused: number;
  readonly declined: number;
  readonly dropouts: number;
  readonly trainLoss: number | undefined;
  /** Of the global adapter, on examples that no client has. */
  readonly test: TestMetrics | undefined;
  /** Of the clients' own models, on examples that they set aside. */
  readonly evaluation: Readonly<Record<string, unknown>> | undefined;
  /** The same examples client by client. */
  readonly perClient: PerClient | undefined;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Mean over the contributors of the time from their delivery to the last one's. */
  readonly waitingMs: number | undefined;
  /** What each device class trained in the round, by its name. */
  readonly classes: Readonly<Record<string, ClassRound>>;
  /** What a private run has spent by the end of the round; undefined: it is not private. */
  readonly epsilon: number | undefined;
  readonly methodMetrics: Readonly<Record<string, number>>;
  /** Content hash of the global adapter. */
  readonly adapter: string;
}

/** Of a private run. Simulated noise can be repeated: it costs what real noise costs, and protects nobody. */
export interface RunPrivacy {
  readonly mode: string;
  /** Upper bound; Infinity where there is none. */
  readonly epsilon: number;
  readonly delta: number;
  readonly noiseMultiplier: number;
}

/** Method of what is measured without a federation. */
export const noMethod = "none";

/** What became of one run. */
export interface RunResult {
  readonly variant: string;
  readonly seed: number;
  readonly method: string;
  readonly state: "completed" | "stopped" | "failed";
  /** Why it ended, where it did not end by itself. */
  readonly reason: string;
  readonly rounds: readonly RoundRow[];
  /** Content hash of the last global adapter: equal runs have equal ones. */
  readonly finalHash: string;
  readonly virtualMs: number;
  /** Updates that were refused, and plans that were declined, by code. */
  readonly refusals: Readonly<Record<string, number>>;
  readonly declines: Readonly<Record<string, number>>;
  readonly trainings: number;
  /** What a private run promised and spent; undefined: it is not private. */
  readonly privacy: RunPrivacy | undefined;
  /** Clients by device class, of those that took part. */
  readonly classes: Readonly<Record<string, number>>;
  /** How long it took on this machine. */
  readonly wallMs: number;
}
