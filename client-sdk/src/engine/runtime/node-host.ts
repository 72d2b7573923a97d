import { freemem } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "@fedlora/core";
import type { EngineHost } from "./engine-core.js";

/** The engine's platform when it runs in a Node process. */
export function nodeHost(clock: Clock): EngineHost {
  return {
    clock,
    // Respects a container's limit, and counts what the page cache would give back.
    freeBytes: () => (typeof process.availableMemory === "function" ? process.availableMemory() : freemem()),
    memory: () => ({
      rssBytes: process.memoryUsage.rss(),
      // maxRSS is in kilobytes.
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    }),
    turn: () => nextTurn(),
  };
}
