import type { BaseModelHash, ClientId, Clock, RunId } from "@fedlora/core";

import type { CapabilityReport } from "../service.js";
import { Wakeup } from "./wakeup.js";

/** What a client said last; the registry keeps what it said at its enrolment. */
export interface PresentClient {
  readonly clientId: ClientId;
  readonly baseModelHashes: readonly BaseModelHash[];
  readonly capability: CapabilityReport;
  /** The only run that it wants to take part in; undefined: any. */
  readonly runId: RunId | undefined;
}

interface Sighting {
  client: PresentClient;
  lastSeenMs: number;
  lastPollMs: number;
  /** Polls that wait for an answer right now. */
  polls: number;
  readonly wakeup: Wakeup;
}

/**
 * Who is there, by what clients do: polls, reports, chunks. In memory only: after a restart everybody counts as heard of at that
 * moment and shows up with the next poll.
 */
export class Presence {
  readonly #clock: Clock;
  readonly #presenceMs: number;
  readonly #startedMs: number;
  readonly #sightings = new Map<ClientId, Sighting>();
  /** Clients that a plan is being made for. */
  readonly #reserved = new Set<ClientId>();
  /** Told when somebody shows up. */
  readonly arrivals: Wakeup;

  constructor(clock: Clock, presenceMs: number) {
    this.#clock = clock;
    this.#presenceMs = presenceMs;
    this.#startedMs = clock.monotonicMs();
    this.arrivals = new Wakeup(clock);
  }

  /** A client enrolled or polls: it is there and says what it has. */
  introduce(client: PresentClient): void {
    const now = this.#clock.monotonicMs();
    const known = this.#sightings.get(client.clientId);
    if (known === undefined) {
      const wakeup = new Wakeup(this.#clock);
      // Enrolled, but not waiting for a plan yet.
      const lastPollMs = Number.NEGATIVE_INFINITY;
      this.#sightings.set(client.clientId, { client, lastSeenMs: now, lastPollMs, polls: 0, wakeup });
    } else {
      known.client = client;
      known.lastSeenMs = now;
    }
  }

  /** Anything else that shows that the client lives. */
  touch(clientId: ClientId): void {
    const sighting = this.#sightings.get(clientId);
    if (sighting !== undefined) sighting.lastSeenMs = this.#clock.monotonicMs();
  }

  /** For the time of a poll the client counts as waiting. The wakeup is told when it has to look again. */
  enter(clientId: ClientId): { readonly wakeup: Wakeup; readonly leave: () => void } {
    const sighting = this.#sightings.get(clientId);
    if (sighting === undefined) throw new Error(`client ${clientId} was not introduced`);
    sighting.polls += 1;
    sighting.lastPollMs = this.#clock.monotonicMs();
    this.arrivals.notify();
    return {
      wakeup: sighting.wakeup,
      leave: () => {
        sighting.polls -= 1;
        sighting.lastPollMs = this.#clock.monotonicMs();
        sighting.lastSeenMs = sighting.lastPollMs;
      },
    };
  }

  /** Makes the client's waiting poll, or everybody's, look for an answer again. */
  wake(clientId?: ClientId): void {
    if (clientId !== undefined) this.#sightings.get(clientId)?.wakeup.notify();
    else for (const { wakeup } of this.#sightings.values()) wakeup.notify();
  }

  get(clientId: ClientId): PresentClient | undefined {
    return this.#sightings.get(clientId)?.client;
  }

  /** How long nothing was heard of a client, in milliseconds; a client with a waiting poll is being heard of. */
  silentMs(clientId: ClientId): number {
    const sighting = this.#sightings.get(clientId);
    if (sighting !== undefined && sighting.polls > 0) return 0;
    return this.#clock.monotonicMs() - (sighting?.lastSeenMs ?? this.#startedMs);
  }

  /** Clients that wait for a plan: in a poll now, or between two. */
  waiting(): PresentClient[] {
    const limit = this.#clock.monotonicMs() - this.#presenceMs;
    return this.#select(({ polls, lastPollMs }) => polls > 0 || lastPollMs >= limit);
  }

  /** Clients that were heard of lately, whatever they do. */
  alive(): PresentClient[] {
    const limit = this.#clock.monotonicMs() - this.#presenceMs;
    return this.#select(({ polls, lastSeenMs }) => polls > 0 || lastSeenMs >= limit);
  }

  /** Keeps runs from choosing the same client at once; returns what undoes it. */
  reserve(clientIds: readonly ClientId[]): () => void {
    for (const clientId of clientIds) this.#reserved.add(clientId);
    return () => {
      for (const clientId of clientIds) this.#reserved.delete(clientId);
    };
  }

  isReserved(clientId: ClientId): boolean {
    return this.#reserved.has(clientId);
  }

  #select(isWanted: (sighting: Sighting) => boolean): PresentClient[] {
    return [...this.#sightings.values()].filter(isWanted).map(({ client }) => client);
  }
}
