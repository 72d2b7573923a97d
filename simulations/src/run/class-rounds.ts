import type { TrainedPart } from "../device/step-depth.js";

/** What the clients of one device class trained in a round, and how long they waited. */
export interface ClassRound {
  /** Trainings that began. */
  readonly clients: number;
  /** Those by the number of layers that they trained, counted from the output. */
  readonly depths: Readonly<Record<string, number>>;
  /** Of the modules that were trained, over all clients. */
  readonly minRank: number;
  readonly maxRank: number;
  /** Sum over a client's modules, mean over the clients. */
  readonly totalRank: number;
  /** Mean over those that delivered of the time until the round's last delivery; virtual milliseconds. */
  readonly waitingMs: number | undefined;
}

interface Training {
  readonly client: number;
  readonly part: TrainedPart;
}

interface Delivery {
  readonly client: number;
  readonly atMs: number;
}

/** Gathers per round and device class what was trained and when it was delivered. */
export class ClassRounds {
  readonly #classOf: (client: number) => string;
  readonly #trainings = new Map<number, Training[]>();
  readonly #deliveries = new Map<number, Delivery[]>();

  constructor(classOf: (client: number) => string) {
    this.#classOf = classOf;
  }

  trained(client: number, round: number, part: TrainedPart): void {
    listOf(this.#trainings, round).push({ client, part });
  }

  delivered(client: number, round: number, atMs: number): void {
    listOf(this.#deliveries, round).push({ client, atMs });
  }

  /** By class, in the order of their names; what is known of the round is forgotten. */
  finish(round: number): Readonly<Record<string, ClassRound>> {
    const trainings = this.#trainings.get(round) ?? [];
    const deliveries = this.#deliveries.get(round) ?? [];
    this.#trainings.delete(round);
    this.#deliveries.delete(round);
    const last = deliveries.reduce((latest, { atMs }) => Math.max(latest, atMs), 0);
    const names = [...new Set(trainings.map(({ client }) => this.#classOf(client)))].sort();
    return Object.fromEntries(
      names.map((name) => {
        const isOwn = ({ client }: { readonly client: number }): boolean => this.#classOf(client) === name;
        const parts = trainings.filter(isOwn).map(({ part }) => part);
        return [
          name,
          classRound(
            parts,
            deliveries.filter(isOwn).map(({ atMs }) => last - atMs),
          ),
        ];
      }),
    );
  }
}

function classRound(parts: readonly TrainedPart[], waits: readonly number[]): ClassRound {
  const depths: Record<string, number> = {};
  for (const { depth } of parts) depths[depth] = (depths[depth] ?? 0) + 1;
  return {
    clients: parts.length,
    depths,
    minRank: Math.min(...parts.map(({ minRank }) => minRank)),
    maxRank: Math.max(...parts.map(({ maxRank }) => maxRank)),
    totalRank: parts.reduce((sum, { totalRank }) => sum + totalRank, 0) / parts.length,
    waitingMs: waits.length === 0 ? undefined : waits.reduce((sum, ms) => sum + ms, 0) / waits.length,
  };
}

function listOf<T>(lists: Map<number, T[]>, round: number): T[] {
  const list = lists.get(round) ?? [];
  lists.set(round, list);
  return list;
}
