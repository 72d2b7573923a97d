import { FedLoraError } from "@fedlora/core";
import type { Clock } from "@fedlora/core";
import { expect, test } from "vitest";
import type { EngineName, TrainingEngine } from "../engine.js";
import { timeEngines } from "./time-engines.js";
import type { TrialStep } from "./time-engines.js";

/** Time passes only by the fake engines' steps; a sleep ends when it has passed. */
class StepClock implements Clock {
  #now = 0;
  readonly #sleepers: { readonly until: number; readonly wake: () => void }[] = [];

  now = (): number => this.#now;
  monotonicMs = (): number => this.#now;

  sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((wake, reject) => {
      this.#sleepers.push({ until: this.#now + ms, wake });
      signal?.addEventListener("abort", () => reject(new Error("aborted")));
    });

  pass(ms: number): void {
    this.#now += ms;
    for (const { until, wake } of this.#sleepers) if (until <= this.#now) wake();
  }
}

const trial = { slot: {} } as unknown as TrialStep;
const start = { threads: 1, prepack: false };

function time(stepsOf: Partial<Record<EngineName, readonly number[] | "missing">>, budgetMs: number) {
  const clock = new StepClock();
  const closed: EngineName[] = [];
  const open = ({ engine }: { engine: EngineName }): Promise<TrainingEngine> => {
    const steps = stepsOf[engine];
    if (steps === undefined || steps === "missing") {
      return Promise.reject(new FedLoraError("engine-unavailable", "not installed"));
    }
    let next = 0;
    let isClosed = false;
    return Promise.resolve({
      createSlot: () => Promise.resolve("slot"),
      accumulate: async () => {
        const stepMs = steps[next++] ?? 0;
        clock.pass(stepMs);
        // The clock's sleepers get their turn before this answer, as they do when a step is slow.
        for (let turn = 0; turn < 10; turn++) await Promise.resolve();
        if (isClosed) throw new FedLoraError("cancelled", "closed");
        return { loss: 1, stepMs };
      },
      close: () => {
        isClosed = true;
        closed.push(engine);
        return Promise.resolve();
      },
    } as unknown as TrainingEngine);
  };
  const candidates = Object.keys(stepsOf) as EngineName[];
  return timeEngines({ candidates, trial, start, budgetMs, clock, open }).then((timings) => ({ timings, closed }));
}

test("the better of two steps counts, and every engine is closed", async () => {
  const { timings, closed } = await time({ "onnxruntime-cpu": [900, 300], "onnxruntime-web": [700, 800] }, 5000);
  expect(timings.map(({ stepMs }) => stepMs)).toEqual([300, 700]);
  expect(new Set(closed)).toEqual(new Set(["onnxruntime-cpu", "onnxruntime-web"]));
});

test("an engine that fails says why, and the next one is tried", async () => {
  const { timings } = await time({ "onnxruntime-cuda": "missing", "onnxruntime-cpu": [300, 300] }, 5000);
  expect(timings).toEqual([
    { engine: "onnxruntime-cuda", stepMs: undefined, couldRun: false, reason: "not installed" },
    { engine: "onnxruntime-cpu", stepMs: 300, couldRun: true, reason: "" },
  ]);
});

test("one step is enough when the second does not fit", async () => {
  const { timings } = await time({ "onnxruntime-cpu": [3000, 3000], "tfjs-wasm": [100, 100] }, 5000);
  expect(timings[0]).toMatchObject({ stepMs: 3000 });
  expect(timings[1]).toMatchObject({ stepMs: undefined, couldRun: true, reason: expect.stringContaining("not tried") });
});

test("an engine still busy when the time is spent is closed", async () => {
  const { timings, closed } = await time({ "tfjs-wasm": [9000, 9000] }, 5000);
  expect(timings[0]).toMatchObject({
    stepMs: undefined,
    couldRun: true,
    reason: expect.stringContaining("first step"),
  });
  expect(closed).toContain("tfjs-wasm");
});
