import type { Logger } from "@fedlora/core";
import { pino } from "pino";

/** JSON lines on stderr: stdout belongs to what a command prints. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
}
