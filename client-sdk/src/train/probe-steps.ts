import { canonicalJson, type Clock } from "@fedlora/core";
import { replaceFile } from "@fedlora/core/node";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { TrainingEngine } from "../engine/engine.js";
import type { BaseModel } from "../models/base-model.js";
import type { Compile } from "./artifact-request.js";
import { assertNotAborted } from "./read-examples.js";
import { type LocalStepTimes, RunTimes, type StepMeter } from "./step-meter.js";
import { makeTrialStep } from "./trial-step.js";

/** Runs of each graph, the first of which is not counted. */
const runs = 3;
const fileName = "step-times.json";

const storedSchema = z.object({
  machine: z.string(),
  times: z.object({
    forwardMs: z.number().positive(),
    layerMs: z.number().min(0),
    batchTokens: z.int().min(1),
    forwardBytes: z.int().optional(),
    layerBytes: z.int().optional(),
  }),
});

export interface ProbeParts {
  readonly baseModel: BaseModel;
  readonly engine: TrainingEngine;
  readonly compile: Compile;
  readonly meter: StepMeter;
  readonly clock: Clock;
}

/**
 * Times a forward pass and a training step through all layers, each a batch of the trial's few rows.
 *
 * @returns undefined for a model without layers
 */
export async function probeSteps(parts: ProbeParts, signal: AbortSignal): Promise<LocalStepTimes | undefined> {
  const { baseModel, engine, compile, meter, clock } = parts;
  const trial = await makeTrialStep(baseModel, compile);
  const forward = await makeTrialStep(baseModel, compile, "evaluate");
  const [trained, passed] = [new RunTimes(), new RunTimes()];
  const slot = await engine.createSlot(trial.slot);
  try {
    for (let run = 0; run < runs; run++) {
      assertNotAborted(signal);
      const { artifact, weightsFile, inputs } = trial;
      trained.add(artifact.manifest, (await engine.accumulate({ artifact, weightsFile, slot, inputs }, signal)).stepMs);
      const start = clock.monotonicMs();
      await engine.infer({ ...forward, slot, outputs: ["loss"] }, signal);
      passed.add(forward.artifact.manifest, clock.monotonicMs() - start);
    }
  } finally {
    await engine.releaseSlot(slot).catch(() => undefined);
  }
  meter.measuredForward(passed);
  return meter.measuredTraining(trained, trial.depth);
}

/**
 * As `probeSteps`, once per model and engine: what it found is kept in the folder.
 *
 * @param machine what the times depend on, in words that change with it
 */
export async function probeOnce(
  folder: string,
  machine: string,
  probe: () => Promise<LocalStepTimes | undefined>,
): Promise<LocalStepTimes | undefined> {
  const path = join(folder, fileName);
  try {
    const stored = storedSchema.parse(JSON.parse(await readFile(path, "utf8")));
    const { forwardBytes, layerBytes, ...times } = stored.times;
    if (stored.machine === machine) return { ...times, forwardBytes, layerBytes };
  } catch {
    // A missing or damaged file costs one more probe.
  }
  const times = await probe();
  if (times !== undefined) {
    await mkdir(folder, { recursive: true });
    await replaceFile(path, new TextEncoder().encode(canonicalJson({ machine, times })));
  }
  return times;
}
