import type { ClientId, PlanId } from "@fedlora/core";

/**
 * The plan that each client was given last, so that its downloads, which name only blobs, can be metered by plan. Bounded;
 * after a restart the client's next poll fills it again.
 */
export class RecentPlans {
  readonly #plans = new Map<ClientId, PlanId>();
  readonly #max: number;

  constructor(max = 100_000) {
    this.#max = max;
  }

  remember(clientId: ClientId, planId: PlanId): void {
    this.#plans.delete(clientId);
    this.#plans.set(clientId, planId);
    const [oldest] = this.#plans.keys();
    if (this.#plans.size > this.#max && oldest !== undefined) this.#plans.delete(oldest);
  }

  of(clientId: ClientId): PlanId | undefined {
    return this.#plans.get(clientId);
  }
}
