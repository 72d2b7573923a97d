import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { CoordinatorHooks } from "../rounds/coordinator-options.js";

/** What is read at the moment of a scrape. */
export interface MetricsSources {
  readonly openUploads: () => number;
  readonly journalSequence: () => number;
}

export interface CoordinatorMetrics {
  readonly registry: Registry;
  /** Feed the metrics; hand them to the service. */
  readonly hooks: Required<Omit<CoordinatorHooks, "onFatal" | "onRoundClosed">>;
  close(): void;
}

const nanosPerSecond = 1e9;

/**
 * The coordinator's metrics in a registry of their own. Labels are from closed sets (directions, states, error codes): no
 * client, run or plan is a label, so that the number of series stays what it is at the first scrape. With several runs at
 * once the gauges show the round that was committed last.
 */
export function createMetrics(sources: MetricsSources): CoordinatorMetrics {
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string): Counter => new Counter({ name, help, registers });
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers });

  const enrolled = gauge("fedlora_clients_enrolled", "Clients that ever enrolled.");
  const runs = new Counter({
    name: "fedlora_run_transitions_total",
    help: "Runs that entered a state.",
    labelNames: ["state"],
    registers,
  });
  const roundsStarted = counter("fedlora_rounds_started_total", "Rounds that were opened.");
  const roundsCommitted = counter("fedlora_rounds_committed_total", "Rounds that ended in a new global adapter.");
  const roundSeconds = new Histogram({
    name: "fedlora_round_duration_seconds",
    help: "From a round's opening to its commit.",
    buckets: [1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10_800],
    registers,
  });
  const cohort = gauge("fedlora_cohort_size", "Clients planned in the round opened last.");
  const contributors = gauge("fedlora_contributors", "Updates in the round committed last.");
  const trainLoss = gauge("fedlora_train_loss", "Mean training loss of the round committed last, in nats.");
  const evalLoss = gauge("fedlora_evaluation_loss", "Federated evaluation loss of the round evaluated last, in nats.");
  const epsilonSpent = gauge("fedlora_privacy_epsilon_spent", "Epsilon spent or reserved, by a private run.");
  const epsilonBudget = gauge(
    "fedlora_privacy_epsilon_budget",
    "Epsilon that a private run may spend; +Inf: no budget.",
  );
  const noiseMultiplier = gauge("fedlora_privacy_noise_multiplier", "Noise over sensitivity, of a private run.");
  const clipNorm = gauge("fedlora_privacy_clip_norm", "Clip norm of a private run's next round.");
  const accepted = counter("fedlora_updates_accepted_total", "Updates that were made durable and count.");
  const refused = new Counter({
    name: "fedlora_updates_refused_total",
    help: "Updates that were refused, by error code.",
    labelNames: ["code"],
    registers,
  });
  const declined = counter("fedlora_plans_declined_total", "Plans that clients declined.");
  const dropped = counter("fedlora_clients_dropped_total", "Clients that lost their place in a round by silence.");
  const bytes = new Counter({
    name: "fedlora_transfer_bytes_total",
    help: "Payload bytes of updates (up) and downloads (down).",
    labelNames: ["direction"],
    registers,
  });
  for (const direction of ["up", "down"]) bytes.inc({ direction }, 0);
  const scraped = (name: string, help: string, read: () => number): void => {
    const metric: Gauge = new Gauge({ name, help, registers, collect: () => metric.set(read()) });
  };
  scraped("fedlora_uploads_open", "Uploads that hold a place now.", sources.openUploads);
  scraped("fedlora_journal_sequence", "Sequence of the last durable event.", sources.journalSequence);
  scraped("fedlora_resident_memory_bytes", "Resident memory of the process.", () => process.memoryUsage.rss());
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  scraped("fedlora_event_loop_lag_seconds", "99th percentile of the event loop's delay since the last scrape.", () => {
    const lag = delay.percentile(99) / nanosPerSecond;
    delay.reset();
    return lag;
  });

  return {
    registry,
    hooks: {
      onEnrolled: (numClients) => enrolled.set(numClients),
      onRunState: (_runId, state) => runs.inc({ state }),
      onRoundStarted: (_runId, _round, cohortSize) => {
        roundsStarted.inc();
        cohort.set(cohortSize);
      },
      onUpdateAccepted: () => accepted.inc(),
      onUpdateRefused: (_runId, code) => refused.inc({ code }),
      onPlanDeclined: () => declined.inc(),
      onClientDropped: () => dropped.inc(),
      onRoundCommitted: (_runId, summary) => {
        roundsCommitted.inc();
        roundSeconds.observe(summary.durationMs / 1000);
        contributors.set(summary.accepted);
        if (summary.trainLoss !== undefined) trainLoss.set(summary.trainLoss);
      },
      onRoundEvaluated: (_runId, { evaluation }) => {
        if (evaluation !== undefined) evalLoss.set(evaluation.loss);
      },
      onPrivacy: (_runId, facts) => {
        epsilonSpent.set(facts.epsilonSpent);
        epsilonBudget.set(facts.epsilonBudget ?? Number.POSITIVE_INFINITY);
        noiseMultiplier.set(facts.noiseMultiplier);
        clipNorm.set(facts.clipNorm);
      },
      onBytes: (_runId, direction, count) => bytes.inc({ direction }, count),
    },
    close: () => delay.disable(),
  };
}
