import type { RoundRow, RunResult } from "../../run/round-row.js";

/** A private run of made-up rounds, one second and 3 MB each, with the given accuracies on test examples. */
export function testRun(variant: string, seed: number, accuracies: readonly number[]): RunResult {
  return {
    variant,
    seed,
    method: "fedavg",
    state: "completed",
    reason: "",
    rounds: accuracies.map((accuracy, index) => testRow(variant, seed, index + 1, accuracy)),
    finalHash: "ab".repeat(32),
    virtualMs: 5000,
    refusals: variant === "<b>" ? { "update-not-finite": 3 } : {},
    declines: {},
    trainings: 8,
    privacy: { mode: "client", epsilon: 1, delta: 1e-5, noiseMultiplier: 1 },
    classes: { device: 4 },
    wallMs: 1234,
  };
}

function testRow(variant: string, seed: number, round: number, accuracy: number): RoundRow {
  return {
    variant,
    seed,
    round,
    endMs: 1000 * round,
    durationMs: 1000,
    planned: 4,
    accepted: 4,
    refused: 0,
    declined: 0,
    dropouts: 0,
    trainLoss: 0.5,
    test: { count: 10, loss: 1 - accuracy, accuracy, f1: accuracy },
    evaluation: undefined,
    perClient: undefined,
    bytesUp: 1e6,
    bytesDown: 2e6,
    waitingMs: 500,
    classes: { device: { clients: 4, depths: { 1: 4 }, minRank: 4, maxRank: 4, totalRank: 4, waitingMs: 500 } },
    epsilon: 0.5 * round,
    methodMetrics: { bias: 0.1 },
    adapter: "ab".repeat(32),
  };
}
