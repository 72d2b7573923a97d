import {
  fromPeftFiles,
  type PlanInstructions,
  type StateDict,
  type TaskSpec,
  taskSchema,
  trainingSchema,
} from "@fedlora/core";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { z } from "zod";
import type { EngineName } from "../engine/engine.js";
import { startEngine } from "../engine/process/start-engine.js";
import type { SavedAdapter } from "../lora/adapter-folder.js";
import { loadBaseModel } from "../models/load/load-base-model.js";
import type { DataSource, Example, TrainRequest } from "../train/local-trainer.js";
import { type ModelWorkbench, openModelWorkbench } from "../train/model-workbench.js";

/** Models and adapters made by PEFT, see testdata/peft/generate.py. */
export const peftFolder: string = fileURLToPath(new URL("../../../testdata/peft", import.meta.url));

/** testdata/peft/golden.json. */
export interface PeftGolden {
  readonly bert: {
    readonly texts: readonly string[];
    readonly ids: readonly (readonly number[])[];
    readonly logits: Readonly<Record<string, readonly (readonly number[])[]>>;
  };
  readonly llama: {
    readonly examples: readonly {
      readonly prompt: string;
      readonly completion: string;
      readonly ids: readonly number[];
      readonly targetStart: number;
      readonly lossSum: number;
      readonly lossSumAll: number;
    }[];
    readonly generated: { readonly prompt: string; readonly ids: readonly number[] };
  };
  readonly training: {
    readonly settings: Readonly<Record<string, number>>;
    readonly bert: { readonly labels: readonly number[]; readonly losses: readonly number[] };
    readonly llama: { readonly losses: readonly number[] };
  };
}

export const readPeftGolden = async (): Promise<PeftGolden> =>
  JSON.parse(await readFile(join(peftFolder, "golden.json"), "utf8")) as PeftGolden;

export const tinyTasks: Readonly<Record<"bert" | "llama", TaskSpec>> = {
  bert: taskSchema.parse({ kind: "sequence-classification", labels: ["no", "maybe", "yes"], maxTokens: 64 }),
  llama: taskSchema.parse({ kind: "causal-lm", maxTokens: 64 }),
};

/** A tiny model on an engine in this process. */
export interface TinyWorkbench extends ModelWorkbench {
  readonly task: TaskSpec;
  /** An adapter that PEFT saved: `plain`, `patterns`. */
  readAdapter(name: string): Promise<SavedAdapter>;
  /** Closes the engine and removes the caches. */
  remove(): Promise<void>;
}

export async function openTinyWorkbench(
  kind: "bert" | "llama",
  engine: EngineName = "onnxruntime-cpu",
): Promise<TinyWorkbench> {
  const cacheFolder = await mkdtemp(join(tmpdir(), "fedlora-tiny-"));
  const baseModel = await loadBaseModel(join(peftFolder, kind, "base"), { cacheFolder });
  const workbench = openModelWorkbench({
    baseModel,
    cacheFolder,
    startEngine: () => startEngine({ engine, threads: 1, prepack: false }),
  });
  const task = tinyTasks[kind];
  return {
    ...workbench,
    task,
    async readAdapter(name) {
      const folder = join(peftFolder, kind, name);
      const config = await readFile(join(folder, "adapter_config.json"), "utf8");
      const model = await readFile(join(folder, "adapter_model.safetensors"));
      const { spec, tensors } = fromPeftFiles({ config, model }, baseModel.manifest, task);
      return { spec, task, tensors };
    },
    async remove() {
      await workbench.close();
      await rm(cacheFolder, { recursive: true });
    },
  };
}

/** A plan that trains and uploads every tensor of an adapter. */
export function trainEverything(
  adapter: SavedAdapter,
  training: z.input<typeof trainingSchema>,
  others: Partial<PlanInstructions> = {},
): PlanInstructions {
  const layout = [...adapter.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return {
    format: "fedlora-instructions/1",
    task: adapter.task,
    adapter: adapter.spec,
    training: trainingSchema.parse(training),
    roles: layout.map((spec) => ({ spec, trained: true, uploaded: true, downloaded: true, keep: "none" })),
    updateForm: "delta",
    uploadLayout: layout,
    codec: "f32",
    directives: [],
    keepOptimizerState: false,
    seed: 7,
    ...others,
  };
}

export function dataOf(train: readonly unknown[], evaluation?: readonly unknown[]): DataSource {
  return {
    name: "tiny",
    train: () => train as readonly Example[],
    ...(evaluation && { evaluation: () => evaluation as readonly Example[] }),
  };
}

export function requestOf(
  instructions: PlanInstructions,
  start: StateDict,
  data: DataSource,
  others: Partial<TrainRequest> = {},
): TrainRequest {
  return { instructions, start, data, round: 1, streamKey: "run/client", optimizerState: undefined, ...others };
}
