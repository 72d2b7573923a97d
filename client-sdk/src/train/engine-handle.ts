import type { TrainingEngine } from "../engine/engine.js";

/** Starts an engine at its first use and shares it; a start that failed is tried again by the next use. */
export class EngineHandle {
  readonly #start: () => Promise<TrainingEngine>;
  #engine: Promise<TrainingEngine> | undefined;

  constructor(start: () => Promise<TrainingEngine>) {
    this.#start = start;
  }

  get(): Promise<TrainingEngine> {
    this.#engine ??= this.#start().catch((error: unknown) => {
      this.#engine = undefined;
      throw error;
    });
    return this.#engine;
  }

  /** Ends the engine, if one was started. */
  async close(): Promise<void> {
    const engine = await this.#engine?.catch(() => undefined);
    this.#engine = undefined;
    await engine?.close();
  }
}
