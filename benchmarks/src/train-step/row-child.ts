import { measureRow } from "./measure-row.js";
import type { RowMeasurement, RowRequest } from "./measure-row.js";

export type RowAnswer = { readonly measurement: RowMeasurement } | { readonly error: string };

/** One row per process: peak memory and a native library's state are the row's own. */
process.once("message", (message) => {
  const send = (answer: RowAnswer): void => void process.send?.(answer, undefined, {}, () => process.exit(0));
  measureRow(message as RowRequest).then(
    (measurement) => send({ measurement }),
    (error: unknown) => send({ error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
