import { RandomStream, deriveKey, type RandomKey } from "@fedlora/core";
import type { Misbehaviour, MisbehaviourKind } from "../scenario/fault-schema.js";

/** What one client does wrong, by kind. */
export type Behaviour = ReadonlyMap<MisbehaviourKind, Misbehaviour>;

const honest: Behaviour = new Map();

/** Which clients misbehave follows from the seed and their numbers. */
export class Behaviours {
  readonly #list: readonly Misbehaviour[];
  readonly #key: RandomKey;

  constructor(list: readonly Misbehaviour[], key: RandomKey) {
    this.#list = list;
    this.#key = key;
  }

  of(client: number): Behaviour {
    if (this.#list.length === 0) return honest;
    const chosen = this.#list.filter(({ kind, share }, index) => {
      const stream = new RandomStream(deriveKey(this.#key, "misbehaviour", `${index} ${kind}`, client));
      return stream.uniform() < share;
    });
    return new Map(chosen.map((each) => [each.kind, each]));
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
