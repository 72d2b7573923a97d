import type { StepExecutor } from "../engine.js";

/**
 * Open sessions by key, the least recently used one closed before another opens beyond the limit. Callers take turns:
 * nobody may use an executor while `get` runs.
 */
export class SessionCache {
  readonly #limit: number;
  readonly #open = new Map<string, StepExecutor>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get keys(): readonly string[] {
    return [...this.#open.keys()];
  }

  /** The executor of `key`, opened by `open` where it is not; `open` runs after the eviction, with its memory free again. */
  async get(key: string, open: () => Promise<StepExecutor>): Promise<StepExecutor> {
    const known = this.#open.get(key);
    if (known !== undefined) {
      // A Map iterates in insertion order: putting it at the end marks it as just used.
      this.#open.delete(key);
      this.#open.set(key, known);
      return known;
    }
    for (const [oldest, executor] of this.#open) {
      if (this.#open.size < this.#limit) break;
      this.#open.delete(oldest);
      await executor.dispose();
    }
    const executor = await open();
    this.#open.set(key, executor);
    return executor;
  }

  async clear(): Promise<void> {
    const executors = [...this.#open.values()];
    this.#open.clear();
    for (const executor of executors) await executor.dispose();
  }
}
