import { FedLoraError } from "@fedlora/core";
import type { Clock } from "@fedlora/core";
import type { EngineName, SlotSpec, StepRequest, TrainingEngine } from "../engine.js";
import type { EngineStart } from "../runtime/protocol.js";

/** One real training step, to compare engines by. */
export interface TrialStep extends Omit<StepRequest, "slot"> {
  readonly slot: SlotSpec;
}

/** What came of one engine's trial. */
export interface EngineTiming {
  readonly engine: EngineName;
  /** The faster of the steps that fitted; undefined where none did. */
  readonly stepMs: number | undefined;
  /** False where it failed; an engine that was only too slow, or not tried, could run. */
  readonly couldRun: boolean;
  /** Why there is no time; empty otherwise. */
  readonly reason: string;
}

export interface TimeEnginesOptions {
  /** In the order in which to try them. */
  readonly candidates: readonly EngineName[];
  readonly trial: TrialStep;
  readonly start: Omit<EngineStart, "engine">;
  readonly budgetMs: number;
  readonly clock: Clock;
  readonly open: (start: EngineStart) => Promise<TrainingEngine>;
}

/**
 * Times a step on each engine in turn, two where they fit, until the budget is spent; an engine that is still busy then is
 * stopped. The candidates come with the expected fastest first, so that the ones left out are the ones least missed.
 */
export async function timeEngines(options: TimeEnginesOptions): Promise<readonly EngineTiming[]> {
  const { candidates, clock, budgetMs } = options;
  const deadline = clock.monotonicMs() + budgetMs;
  const timings: EngineTiming[] = [];
  for (const engine of candidates) {
    const leftMs = deadline - clock.monotonicMs();
    timings.push(
      leftMs <= 0
        ? { engine, stepMs: undefined, couldRun: true, reason: "not tried: the time for trials was spent" }
        : await timeEngine(engine, leftMs, options),
    );
  }
  return timings;
}

async function timeEngine(engine: EngineName, leftMs: number, options: TimeEnginesOptions): Promise<EngineTiming> {
  const stop = new AbortController();
  const steps: number[] = [];
  let opened: TrainingEngine | undefined;
  const trial = async (): Promise<void> => {
    opened = await options.open({ ...options.start, engine });
    if (stop.signal.aborted) return;
    const slot = await opened.createSlot(options.trial.slot);
    // The first step also opens the graph and fills the arena.
    for (let step = 0; step < 2; step++) {
      steps.push((await opened.accumulate({ ...options.trial, slot }, stop.signal)).stepMs);
    }
  };
  const late = options.clock.sleep(leftMs, stop.signal).then(
    () => ({ couldRun: true, reason: "still in its first step when the time for trials was spent" }),
    () => ({ couldRun: true, reason: "" }),
  );
  const running = trial().then(
    () => ({ couldRun: true, reason: "" }),
    (thrown: unknown) => ({ couldRun: false, reason: FedLoraError.from(thrown).message }),
  );
  const outcome = await Promise.race([running, late]);
  stop.abort();
  await opened?.close({ hard: true });
  // An engine that was still starting is closed as soon as it is there.
  void running.then(() => opened?.close({ hard: true }));
  return steps.length === 0
    ? { engine, stepMs: undefined, ...outcome }
    : { engine, stepMs: Math.min(...steps), couldRun: true, reason: "" };
}
