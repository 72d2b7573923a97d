import { limits } from "@fedlora/proto";
import type { CallTimes } from "./interceptors/deadline.js";

const second = 1000;
const hour = 3_600_000;

/** Silence after which a client in the middle of a call is taken for gone. */
const idleMs = 30 * second;
const control: CallTimes = { maxMs: 30 * second, receiveIdleMs: idleMs };
const transfer: CallTimes = { maxMs: hour, receiveIdleMs: idleMs, sendIdleMs: idleMs };

/** Methods whose time differs from that of a small question and answer. */
const exceptions: Readonly<Record<string, CallTimes>> = {
  "/fedlora.v1.Coordinator/Poll": { maxMs: limits.pollWaitMs + 15 * second, receiveIdleMs: idleMs },
  "/fedlora.v1.Coordinator/GetBlob": transfer,
  "/fedlora.v1.Coordinator/PutChunks": { maxMs: hour, receiveIdleMs: idleMs },
  // Validation and syncing of a large update take their time on a slow disk.
  "/fedlora.v1.Coordinator/Commit": { maxMs: 600 * second, receiveIdleMs: idleMs },
  "/fedlora.v1.Admin/GetBlob": transfer,
  "/fedlora.v1.Admin/Audit": transfer,
  // A run may be silent for hours; the caller watches again from the last sequence it saw.
  "/fedlora.v1.Admin/WatchRun": { maxMs: 24 * hour, receiveIdleMs: idleMs },
};

export function callTimesOf(path: string): CallTimes {
  return exceptions[path] ?? control;
}
