import type { Logger } from "@fedlora/core";
import { pino } from "pino";

/** JSON lines on stderr: stdout belongs to what a command prints. */
export function createLogger(level: string): Logger {
  const formatters = { level: (label: string) => ({ level: label }) };
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters };
  return pino(options, pino.destination({ fd: 2, sync: true }));
}
