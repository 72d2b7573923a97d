import type { PlanId } from "@fedlora/core";

/** Bytes moved for the plans of the stage that is going on. In memory: what was metered before a restart is lost. */
export class ByteMeter {
  readonly #bytes = new Map<PlanId, { up: number; down: number }>();

  count(planId: PlanId, direction: "up" | "down", bytes: number): void {
    const entry = this.#bytes.get(planId) ?? { up: 0, down: 0 };
    entry[direction] += bytes;
    this.#bytes.set(planId, entry);
  }

  total(): { readonly bytesUp: number; readonly bytesDown: number } {
    const entries = [...this.#bytes.values()];
    return {
      bytesUp: entries.reduce((sum, { up }) => sum + up, 0),
      bytesDown: entries.reduce((sum, { down }) => sum + down, 0),
    };
  }

  /** Keeps the counts of these plans only. */
  retain(planIds: ReadonlySet<string>): void {
    for (const planId of this.#bytes.keys()) if (!planIds.has(planId)) this.#bytes.delete(planId);
  }
}
