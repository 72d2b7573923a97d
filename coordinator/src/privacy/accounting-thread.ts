import { parentPort } from "node:worker_threads";

import { toErrorValue } from "../aggregate/worker-messages.js";
import { answerBound } from "./accounting.js";
import { settleNoise } from "./settle-noise.js";
import type { AccountingAnswer, AccountingRequest } from "./threaded-accounting.js";

/** The accounting thread's program: one request after the other. */
parentPort?.on("message", ({ id, ask }: AccountingRequest) => {
  let answer: AccountingAnswer;
  try {
    answer = { id, value: ask.kind === "bound" ? answerBound(ask.question) : settleNoise(ask.spec) };
  } catch (thrown) {
    answer = { id, error: toErrorValue(thrown) };
  }
  parentPort?.postMessage(answer);
});
