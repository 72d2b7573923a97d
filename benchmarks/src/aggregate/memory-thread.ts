import { parentPort } from "node:worker_threads";
import { sealSpans } from "@fedlora/aggregators";
import { memoryRound } from "./memory-round.js";
import type { MemoryRequest } from "./memory-round.js";

/** The program of a thread that helps with a round from memory: takes spans, and answers with what it sealed. */
let round: ReturnType<typeof memoryRound> | undefined;

parentPort?.on("message", (request: MemoryRequest) => {
  if ("round" in request) round = memoryRound(request.round);
  else if (round !== undefined) {
    const sealed = sealSpans(round.open(), round.sweep, () => Atomics.add(request.tickets, 0, 1));
    parentPort?.postMessage(sealed);
  }
});
