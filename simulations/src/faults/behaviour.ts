import { RandomStream, deriveKey, type RandomKey } from "@fedlora/core";
import type { Misbehaviour, MisbehaviourKind } from "../scenario/fault-schema.js";

/** What one client does wrong, by kind. */
export type Behaviour = ReadonlyMap<MisbehaviourKind, Misbehaviour>;

const honest: Behaviour = new Map();

/**
 * Which clients misbehave follows from the seed and their numbers. As many do as the share says, to the nearest client: among
 * 30 clients a share drawn client by client would make 20 % of attackers into 10 to 30 %.
 */
export class Behaviours {
  readonly #chosen: readonly { readonly entry: Misbehaviour; readonly clients: ReadonlySet<number> }[];
  readonly #key: RandomKey;

  /** @param clients how many there are */
  constructor(list: readonly Misbehaviour[], key: RandomKey, clients: number) {
    this.#key = key;
    const everybody = list.length === 0 ? [] : Array.from({ length: clients }, (_, client) => client);
    this.#chosen = list.map((entry, index) => {
      const stream = new RandomStream(deriveKey(key, "misbehaviour", `${index} ${entry.kind}`));
      const count = Math.max(1, Math.round(entry.share * clients));
      return { entry, clients: new Set(stream.shuffle([...everybody]).slice(0, count)) };
    });
  }

  of(client: number): Behaviour {
    const own = this.#chosen.filter(({ clients }) => clients.has(client));
    return own.length === 0 ? honest : new Map(own.map(({ entry }) => [entry.kind, entry]));
  }

  /** Whether a client that does something does it to its update of a round. */
  happens(behaviour: Behaviour, kind: MisbehaviourKind, client: number, round: number): boolean {
    const entry = behaviour.get(kind);
    if (entry === undefined) return false;
    if (!("prob" in entry) || entry.prob === 1) return true;
    return new RandomStream(deriveKey(this.#key, "happens", kind, client, round)).uniform() < entry.prob;
  }

  /** A direction that all colluding clients of a round share. */
  sharedStream(round: number, tensor: string): RandomStream {
    return new RandomStream(deriveKey(this.#key, "collusion", round, tensor));
  }
}
