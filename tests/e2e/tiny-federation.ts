import {
  FederatedClient,
  loadBaseModel,
  openModelWorkbench,
  type ClientEvent,
  type FederatedClientOptions,
  type LocalTrainer,
  type ModelWorkbench,
} from "@fedlora/client-sdk";
import type { Coordinator } from "@fedlora/coordinator";
import { compileRunSpec, type RunId, type RunSpecInput } from "@fedlora/core";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openTestCoordinator } from "./test-coordinator.js";

/** A tiny BERT that really trains; the coordinator, gRPC and the SDK are the real ones too. */
export const model = fileURLToPath(new URL("../../testdata/peft/bert/base", import.meta.url));

const words = ["free money offer now", "the kernel build fails here", "win a prize today", "see you at lunch"];

export interface Mail {
  readonly text: string;
  readonly label: "spam" | "ham";
}

/** A dozen of short mails; each member, by its index, has others. */
export function someMail(index: number): readonly Mail[] {
  return Array.from({ length: 12 }, (_, row) => {
    return { text: `${words[(row + index) % 4]!} ${row}`, label: (row + index) % 2 === 0 ? "spam" : "ham" };
  });
}

/** A model with an engine of one thread. */
export async function openTinyWorkbench(base: string, cacheFolder: string): Promise<ModelWorkbench> {
  const baseModel = await loadBaseModel(base, { cacheFolder });
  return openModelWorkbench({ baseModel, cacheFolder, engine: { engine: "onnxruntime-cpu", threads: 1 } });
}

export class TinyFederation {
  /** Temporary; `states/RUN/MEMBER` is a member's state, `cache` the engine's. */
  readonly folder: string;
  /** Knows the model. */
  readonly coordinator: Coordinator;
  readonly workbench: ModelWorkbench;
  readonly #end: () => Promise<void>;

  private constructor(folder: string, coordinator: Coordinator, workbench: ModelWorkbench, end: () => Promise<void>) {
    this.folder = folder;
    this.coordinator = coordinator;
    this.workbench = workbench;
    this.#end = end;
  }

  /** @param name of the temporary folder */
  static async open(name: string): Promise<TinyFederation> {
    const opened = await openTestCoordinator(name);
    const { folder, coordinator } = opened;
    const workbench = await openTinyWorkbench(model, join(folder, "cache"));
    await coordinator.service.admin.registerModel(workbench.baseModel.manifest);
    return new TinyFederation(folder, coordinator, workbench, async () => {
      await workbench.close();
      await opened.close();
    });
  }

  /** A run spec of the model and its task, with what is given in place of the defaults. */
  spec(input: Partial<RunSpecInput> & Pick<RunSpecInput, "name" | "rounds" | "cohort">): RunSpecInput {
    return {
      model: { hash: this.workbench.baseModel.manifest.hash },
      task: { kind: "sequence-classification", labels: ["ham", "spam"], maxTokens: 16 },
      adapter: { rank: 2, targetModules: ["query", "value"] },
      method: { name: "fedavg" },
      ...input,
    };
  }

  /** The workbench's trainer, for members that share its engine: none of them ends it. */
  get trainer(): LocalTrainer {
    const { trainer } = this.workbench;
    return {
      train: trainer.train.bind(trainer),
      evaluate: trainer.evaluate.bind(trainer),
      heldBaseDeltas: (ids) => trainer.heldBaseDeltas?.(ids) ?? Promise.resolve(0),
      close: () => Promise.resolve(),
    };
  }

  /** A member's part in a run, to the run's end: its events. */
  async takePart(
    name: string,
    runId: RunId,
    mail: readonly Mail[],
    options: Partial<FederatedClientOptions> = {},
  ): Promise<readonly ClientEvent[]> {
    const client = new FederatedClient({
      coordinator: this.coordinator.address,
      name,
      baseModel: model,
      stateFolder: this.stateFolder(runId, name),
      data: { name, train: () => mail, evaluation: () => mail.slice(0, 4) },
      trainer: this.trainer,
      baseModelHash: this.workbench.baseModel.manifest.hash,
      runId,
      retry: { baseDelayMs: 20, maxDelayMs: 200 },
      ...options,
    });
    const events: ClientEvent[] = [];
    for await (const event of client.run()) events.push(event);
    await client.close();
    return events;
  }

  stateFolder(runId: RunId, name: string): string {
    return join(this.folder, "states", runId, name);
  }

  /** A run from its creation to its end, with members that share the engine; what of their work was not taken. */
  async train(
    input: RunSpecInput,
    members: readonly string[],
    mailOf: (index: number) => readonly Mail[] = someMail,
    optionsOf: (index: number) => Partial<FederatedClientOptions> = () => ({}),
  ) {
    const { admin } = this.coordinator.service;
    const { runId } = (await admin.createRun(`key-${input.name}`, compileRunSpec(input))).summary;
    const parts = members.map((name, index) => this.takePart(name, runId, mailOf(index), optionsOf(index)));
    const events = (await Promise.all(parts)).flat();
    const failures = events.flatMap((event) => {
      if (event.type === "declined") return [`${event.code}: ${event.reason}`];
      return event.type === "refused" ? [`${event.code}: ${event.message}`] : [];
    });
    return { runId, detail: await admin.getRun(runId), events, failures };
  }

  close(): Promise<void> {
    return this.#end();
  }
}
