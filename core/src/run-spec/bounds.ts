import { z } from "zod";

export const positiveInt = z.int().min(1);
/** Milliseconds, up to a week: longer ones overflow the platform's timers. */
export const duration = positiveInt.max(7 * 24 * 3_600_000);
export const seed = z
  .int()
  .min(0)
  .max(2 ** 32 - 1);
/** A SHA-256 in lower-case hex digits. */
export const hash = z.string().regex(/^[0-9a-f]{64}$/);
