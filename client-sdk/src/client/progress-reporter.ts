import { FedLoraError, type Clock, type PlanId } from "@fedlora/core";
import type { ClientCapabilityReport } from "../transport/transport.js";
import type { Connection } from "./connection.js";

export type ReportStage = "downloading" | "training" | "evaluating" | "uploading";

export interface ReportedProgress {
  readonly stage: ReportStage;
  readonly step: number;
  readonly totalSteps: number;
  /** NaN where there is none yet. */
  readonly loss: number;
}

export interface ReporterParts {
  readonly connection: Connection;
  readonly planId: PlanId;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly capability: () => ClientCapabilityReport;
  /** The coordinator said that the plan is closed. */
  readonly onClosed: () => void;
}

/** Why a nap ends early; one error for all, since making one is most of the cost of a nap. */
const over = new FedLoraError("cancelled", "the nap is over");

/**
 * Tells the coordinator now and then that this client is alive and how far it is, beside the work and never in its way:
 * a failed report is forgotten. Only the answer "the plan is closed" has a consequence.
 */
export class ProgressReporter {
  readonly #parts: ReporterParts;
  readonly #stop = new AbortController();
  #nap = new AbortController();
  readonly #done: Promise<void>;
  #progress: ReportedProgress = { stage: "downloading", step: 0, totalSteps: 0, loss: Number.NaN };

  constructor(parts: ReporterParts) {
    this.#parts = parts;
    this.#done = this.#run();
  }

  /** A new stage is reported at once: what was measured in the one before counts for plans that are made now. */
  update(progress: ReportedProgress): void {
    const isNewStage = progress.stage !== this.#progress.stage;
    this.#progress = progress;
    if (isNewStage) this.#nap.abort(over);
  }

  async stop(): Promise<void> {
    this.#stop.abort(over);
    this.#nap.abort(over);
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#nap = new AbortController();
      await this.#report(signal);
      await this.#parts.clock.sleep(this.#parts.intervalMs, this.#nap.signal).catch(() => undefined);
    }
  }

  async #report(signal: AbortSignal): Promise<void> {
    const { connection, planId, capability, onClosed } = this.#parts;
    try {
      const report = { planId, ...this.#progress, capability: capability() };
      const { planOpen } = await connection.transport.report(report, signal);
      // While uploading the plan may be closed by our own update, whose receipt was lost on the way: commit will tell.
      if (!planOpen && this.#progress.stage !== "uploading") onClosed();
    } catch (error) {
      // A coordinator that restarted forgot the session: without it this client would pass for a silent one.
      if (!signal.aborted && error instanceof FedLoraError && error.code === "unauthenticated") {
        await connection.enrol(signal).catch(() => undefined);
      }
    }
  }
}
