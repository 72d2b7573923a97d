import type { ClientEvent } from "@fedlora/client-sdk";
import { RandomStream, deriveKey, FedLoraError } from "@fedlora/core";
import type { Availability } from "../device/availability.js";
import { newMemory, type ClientMemory } from "../runtime/virtual-state.js";
import type { ClientWorld } from "./client-world.js";
import { runVirtualClient } from "./virtual-client.js";

/** How often somebody is looked for where too few clients are available. */
const lookMs = 10_000;
/** The population acts before any client of the same moment. */
const actor = 0;

export interface PopulationOptions {
  /** Clients that wait for a plan at a time; at least the population's size: everybody who is available. */
  readonly waiting: number;
  /** How many of those are kept beyond a round's plans, for slots that become free. */
  readonly spares: number;
  readonly availability: Availability;
  /** Whether clients are drawn anew for every round; else whoever leaves is replaced at once. */
  readonly isByRound: boolean;
  /** Whether a round's contributors are asked to evaluate it before they leave. */
  readonly isEvaluated: (round: number) => boolean;
  readonly onEvent: (client: number, event: ClientEvent) => void;
  /** A client failed in a way that no federation brings about. */
  readonly onFailure: (error: FedLoraError) => void;
}

interface Visit {
  readonly controller: AbortController;
  isIdle: boolean;
}

/** Why a visit ends. */
const leaving = new FedLoraError("cancelled", "the client leaves");

/**
 * The clients of a federation, of whom only some are connected at a time. Who is connected is drawn evenly from those who are
 * available, and the coordinator draws its cohort evenly from these, so every available client is as likely to be in a round as
 * if all were connected; memory is that of the connected ones.
 */
export class Population {
  readonly #world: ClientWorld;
  readonly #options: PopulationOptions;
  readonly #visits = new Map<number, Visit>();
  readonly #memories = new Map<number, ClientMemory>();
  readonly #awayUntil = new Map<number, number>();
  #numVisits = 0;
  #numDraws = 0;
  #isOpen = true;
  #isLooking = false;
  #isRoundOpen = false;

  constructor(world: ClientWorld, options: PopulationOptions) {
    this.#world = world;
    this.#options = options;
  }

  /** Nobody is ever drawn: all who are available are there. */
  get isWhole(): boolean {
    return this.#options.waiting >= this.#world.partition.clients;
  }

  start(): void {
    this.#fill(this.#options.waiting);
  }

  onRoundStarted(): void {
    this.#isRoundOpen = true;
  }

  /** Who waited in vain goes, so that the next round's candidates are drawn from everybody. */
  onRoundClosed(): void {
    this.#isRoundOpen = false;
    if (this.isWhole || !this.#options.isByRound) return;
    for (const visit of this.#visits.values()) if (visit.isIdle) visit.controller.abort(leaving);
  }

  onRoundOver(): void {
    this.#fill(this.#options.waiting);
  }

  /** Everybody leaves for good. */
  close(): void {
    this.#isOpen = false;
    for (const { controller } of this.#visits.values()) controller.abort(leaving);
  }

  get isEmpty(): boolean {
    return this.#visits.size === 0;
  }

  /** Draws clients until so many wait, and looks again later where there are not enough. */
  #fill(wanted: number): void {
    if (!this.#isOpen) return;
    const idle = [...this.#visits.values()].filter(({ isIdle, controller }) => isIdle && !controller.signal.aborted);
    const missing = Math.min(wanted, this.#world.partition.clients) - idle.length;
    if (missing <= 0) return;
    const drawn = this.#draw(missing);
    for (const client of drawn) this.#admit(client);
    if (drawn.length < missing) this.#lookLater(wanted);
  }

  #lookLater(wanted: number): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const clock = this.#world.clock.actor(actor);
    void clock.sleep(lookMs).then(() => {
      this.#isLooking = false;
      this.#fill(wanted);
    });
  }

  #draw(count: number): number[] {
    const { partition, key, clock } = this.#world;
    const { clients } = partition;
    this.#numDraws += 1;
    const stream = new RandomStream(deriveKey(key, "check-in", this.#numDraws));
    const now = clock.elapsedMs;
    const chosen = new Set<number>();
    // A few of many are found by trying; else everybody is looked at.
    if (count * 8 < clients) {
      for (let tries = 0; chosen.size < count && tries < 64 * count; tries += 1) {
        const client = stream.integer(clients);
        if (!chosen.has(client) && this.#canCome(client, now)) chosen.add(client);
      }
    }
    if (chosen.size === count) return [...chosen];
    const others = Array.from({ length: clients }, (_, client) => client).filter(
      (client) => !chosen.has(client) && this.#canCome(client, now),
    );
    return [...chosen, ...stream.shuffle(others).slice(0, count - chosen.size)];
  }

  #canCome(client: number, now: number): boolean {
    if (this.#visits.has(client) || !this.#options.availability.isOn(client, now)) return false;
    const until = this.#awayUntil.get(client);
    if (until === undefined) return true;
    if (until > now) return false;
    this.#awayUntil.delete(client);
    return true;
  }

  #admit(client: number): void {
    const { clock, dropout } = this.#world;
    const controller = new AbortController();
    const { signal } = controller;
    const visit: Visit = { controller, isIdle: true };
    this.#visits.set(client, visit);
    this.#numVisits += 1;
    let memory = this.#memories.get(client);
    if (memory === undefined) this.#memories.set(client, (memory = newMemory()));
    const options = {
      client,
      visit: this.#numVisits,
      memory,
      onEvent: (event: ClientEvent) => this.#onEvent(client, visit, event),
      vanish: () => {
        this.#awayUntil.set(client, clock.elapsedMs + (dropout?.awayMs ?? lookMs));
        controller.abort(leaving);
      },
    };
    const offMs = this.#options.availability.offAt(client, clock.elapsedMs);
    if (Number.isFinite(offMs)) {
      void clock
        .actor(client + 1)
        .sleep(offMs - clock.elapsedMs, signal)
        .then(
          () => controller.abort(leaving),
          () => undefined,
        );
    }
    void runVirtualClient(this.#world, options, signal)
      .catch((thrown: unknown) => {
        if (!signal.aborted) this.#options.onFailure(FedLoraError.from(thrown));
      })
      .finally(() => {
        controller.abort(leaving);
        this.#visits.delete(client);
        this.#onGone();
      });
  }

  #onEvent(client: number, visit: Visit, event: ClientEvent): void {
    if (event.type === "plan") {
      visit.isIdle = false;
      this.#replaceSpares();
    }
    const isOver = ["accepted", "refused", "abandoned", "declined"].includes(event.type);
    this.#options.onEvent(client, event);
    if (!isOver) return;
    visit.isIdle = true;
    const isAskedAgain =
      event.type === "accepted" && event.receipt.blobId !== "" && this.#options.isEvaluated(event.receipt.round);
    if (!this.isWhole && !isAskedAgain) visit.controller.abort(leaving);
  }

  #onGone(): void {
    if (this.isWhole) this.#fill(this.#options.waiting);
    else this.#replaceSpares();
  }

  /** Slots that become free in a round are filled by clients that wait; a buffered run's at any time. */
  #replaceSpares(): void {
    if (!this.isWhole && (this.#isRoundOpen || !this.#options.isByRound)) this.#fill(this.#options.spares);
  }
}
