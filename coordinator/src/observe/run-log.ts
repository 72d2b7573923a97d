import type { Logger } from "@fedlora/core";
import type { CoordinatorHooks } from "../rounds/coordinator-options.js";

/** The hooks, and a line in the log for what an operator follows at `info`: every line names its run, and its round. */
export function withRunLog(hooks: CoordinatorHooks, logger: Logger): CoordinatorHooks {
  return {
    ...hooks,
    onRunState: (runId, state) => {
      hooks.onRunState?.(runId, state);
      logger.info({ runId, state }, `the run is ${state}`);
    },
    onRoundStarted: (runId, round, cohortSize) => {
      hooks.onRoundStarted?.(runId, round, cohortSize);
      logger.info({ runId, round, cohortSize }, "the round began");
    },
    onUpdateRefused: (runId, code) => {
      hooks.onUpdateRefused?.(runId, code);
      logger.warn({ runId, code }, "an update was refused");
    },
    onRoundCommitted: (runId, summary) => {
      hooks.onRoundCommitted?.(runId, summary);
      const { round, planned, accepted, trainLoss, durationMs } = summary;
      logger.info({ runId, round, planned, accepted, trainLoss, durationMs }, "the round is committed");
    },
    onRoundEvaluated: (runId, summary) => {
      hooks.onRoundEvaluated?.(runId, summary);
      const { loss, accuracy, f1 } = summary.evaluation ?? {};
      logger.info({ runId, round: summary.round, loss, accuracy, f1 }, "the round is evaluated");
    },
  };
}
