import type { JobsOptions, WorkerOptions } from "bullmq";
import { queuePrefix } from "./roster.js";

/** What is in the queue: a name. Everything else is in the content store. */
export interface ShardJob {
  readonly session: string;
  readonly shard: string;
  readonly requests: number;
}

export const queueNameOf = (scenario: string): string => `${scenario}-shards`;

/**
 * A shard is tried again by another worker when its own says that it could not, and when it falls silent. A shard that takes
 * this many workers with it is to blame itself.
 */
const maxDeaths = 3;
export const jobOptions: JobsOptions = {
  attempts: 10,
  backoff: { type: "fixed", delay: 500 },
  removeOnComplete: true,
  removeOnFail: false,
};

/** The lock of a job is renewed at half its time; without that, the job is another's after at most the sum of both. */
export const workerOptions: Omit<WorkerOptions, "connection"> = {
  prefix: queuePrefix,
  concurrency: 1,
  lockDuration: 5000,
  stalledInterval: 2500,
  maxStalledCount: maxDeaths - 1,
  drainDelay: 2,
};

/** Begins BullMQ's reason for a job that was given up because its workers died. */
export const stalledReason = "job stalled more than allowable limit";
export const stalledMessage = `${maxDeaths} workers died while they trained the same clients`;
