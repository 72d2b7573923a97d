const buckets = 1024;

/**
 * A map whose changes make another one, which shares all but a part with it: a change costs a thousandth of a copy plus a
 * thousand references, however many keys there are. As JSON it is an object; the order of its keys follows from them and from
 * the order of those with the same hash.
 */
export class PersistentMap<Key extends string, Value> {
  readonly #parts: readonly (ReadonlyMap<Key, Value> | undefined)[];
  readonly size: number;

  private constructor(parts: readonly (ReadonlyMap<Key, Value> | undefined)[], size: number) {
    this.#parts = parts;
    this.size = size;
  }

  static empty<Key extends string, Value>(): PersistentMap<Key, Value> {
    return new PersistentMap<Key, Value>(new Array<undefined>(buckets).fill(undefined), 0);
  }

  static of<Key extends string, Value>(entries: Iterable<readonly [Key, Value]>): PersistentMap<Key, Value> {
    const parts = new Array<Map<Key, Value> | undefined>(buckets).fill(undefined);
    let size = 0;
    for (const [key, value] of entries) {
      const part = (parts[bucketOf(key)] ??= new Map<Key, Value>());
      if (!part.has(key)) size += 1;
      part.set(key, value);
    }
    return new PersistentMap(parts, size);
  }

  get(key: Key): Value | undefined {
    return this.#parts[bucketOf(key)]?.get(key);
  }

  with(key: Key, value: Value): PersistentMap<Key, Value> {
    const bucket = bucketOf(key);
    const before = this.#parts[bucket];
    const parts = [...this.#parts];
    parts[bucket] = new Map(before).set(key, value);
    return new PersistentMap(parts, this.size + (before?.has(key) === true ? 0 : 1));
  }

  *entries(): Generator<readonly [Key, Value]> {
    for (const part of this.#parts) if (part !== undefined) yield* part;
  }

  toJSON(): Readonly<Record<string, Value>> {
    return Object.fromEntries(this.entries());
  }
}

/** FNV-1a of the key's UTF-16 units, folded. */
function bucketOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i += 1) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return ((hash >>> 10) ^ hash) & (buckets - 1);
}
