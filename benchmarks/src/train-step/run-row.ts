import { once } from "node:events";
import { forkModule } from "@fedlora/client-sdk/engine";
import type { RowRequest } from "./measure-row.js";
import type { RowAnswer } from "./row-child.js";

/** Measures a row in a process of its own. */
export async function runRow(request: RowRequest): Promise<RowAnswer> {
  const child = forkModule(new URL("./row-child", import.meta.url));
  try {
    child.send(request);
    const answer = once(child, "message").then(([message]) => message as RowAnswer);
    const ended = once(child, "exit").then(([code, signal]): RowAnswer => {
      return { error: `the row's process ended with ${String(signal ?? code)}` };
    });
    return await Promise.race([answer, ended]);
  } finally {
    child.kill("SIGKILL");
  }
}
