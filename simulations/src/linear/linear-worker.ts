import { FedLoraError, type PlanInstructions } from "@fedlora/core";
import { parentPort } from "node:worker_threads";
import { vectorView } from "../data/simulation-data.js";
import { ClientData } from "../runtime/client-data.js";
import { linearIdentity } from "./linear-identity.js";
import type { SentRows, ThreadAnswer, ThreadRequest } from "./linear-messages.js";
import { LinearTrainer } from "./linear-trainer.js";

let trainer: LinearTrainer | undefined;
let data: ReturnType<typeof vectorView> | undefined;
/** Of the latest request. */
let instructions: PlanInstructions | undefined;
/** Requests are done one after the other. */
let last = Promise.resolve();
const answer = (message: ThreadAnswer): void => parentPort?.postMessage(message);

parentPort?.on("message", (request: ThreadRequest) => {
  if (request.kind === "start") {
    trainer = new LinearTrainer(request.table, request.manifest);
    data = vectorView(request.table);
    answer({ kind: "ready", engine: linearIdentity() });
    return;
  }
  const { id } = request;
  if (request.kind !== "held") instructions = request.instructions ?? instructions;
  const own = instructions;
  last = last
    .then(() => perform(request, own))
    .then(
      (result) => answer({ kind: "done", id, result }),
      (thrown: unknown) => {
        const { code, message } = FedLoraError.from(thrown);
        answer({ kind: "failed", id, code, message });
      },
    );
});

async function perform(
  request: Exclude<ThreadRequest, { kind: "start" }>,
  instructions: PlanInstructions | undefined,
): Promise<Extract<ThreadAnswer, { kind: "done" }>["result"]> {
  if (trainer === undefined) throw new FedLoraError("internal", "the thread was not started");
  if (request.kind === "held") return trainer.heldBaseDeltas(request.ids);
  if (instructions === undefined) throw new FedLoraError("internal", "the thread has no instructions");
  const { start, baseDeltas, secret } = request;
  const secrets = secret && { isSecret: false, next: () => secret };
  const shared = {
    ...{ instructions, start, data: rowsOf(request.rows) },
    ...(baseDeltas && { baseDeltas }),
    ...(secrets && { secrets }),
  };
  return request.rest === undefined ? trainer.evaluate(shared) : trainer.train({ ...shared, ...request.rest });
}

function rowsOf({ name, trainRows, heldOutRows, relabelled }: SentRows): ClientData {
  if (data === undefined) throw new FedLoraError("internal", "the thread was not started");
  const relabel = relabelled === undefined ? undefined : (label: number) => relabelled[label] ?? label;
  return new ClientData(name, data, { trainRows, heldOutRows, relabel });
}
