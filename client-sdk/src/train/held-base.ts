import type { BaseDelta } from "../models/base-delta/base-delta.js";
import type { BaseVersions, OpenBase } from "../models/base-delta/base-versions.js";

/** Base weights that are opened at their first use and kept until they are released. */
export class HeldBase {
  readonly #versions: BaseVersions;
  readonly #deltas: readonly BaseDelta[];
  #base: Promise<OpenBase> | undefined;

  constructor(versions: BaseVersions, deltas: readonly BaseDelta[]) {
    this.#versions = versions;
    this.#deltas = deltas;
  }

  /** An attempt that failed is repeated by the next call. See `BaseVersions.open`; `modules` of the first call count. */
  open(modules: ReadonlySet<string>): Promise<OpenBase> {
    this.#base ??= this.#versions.open(this.#deltas, modules).catch((error: unknown) => {
      this.#base = undefined;
      throw error;
    });
    return this.#base;
  }

  async release(): Promise<void> {
    const base = await this.#base?.catch(() => undefined);
    this.#base = undefined;
    await base?.release();
  }
}
