import type { Redis } from "ioredis";
import { sessionSchema, workerSchema, type Session, type WorkerIdentity } from "./identity.js";

/** A worker that does not renew its announcement for so long is gone. */
const presenceMs = 6000;
/** The same of a session, longer: its process also aggregates, which may take it a while. */
export const sessionMs = 30_000;
/** How often announcements are renewed and looked at. */
export const tickMs = 500;

/** All keys that BullMQ writes begin with it. */
export const queuePrefix = "fedlora";

/** Ends a session only where it is still the caller's. */
const deleteIfOwn = `local held = redis.call("get", KEYS[1])
if held and cjson.decode(held).id == ARGV[1] then return redis.call("del", KEYS[1]) end
return 0`;

/**
 * Who is there for a scenario, in Redis: at most one session, any number of workers. Everything expires by itself, so that
 * nobody has to clean up after who was killed.
 */
export class Roster {
  readonly #redis: Redis;
  readonly #sessionKey: string;
  readonly #workersKey: string;

  /** @param name the scenario's */
  constructor(redis: Redis, name: string) {
    this.#redis = redis;
    this.#sessionKey = `${queuePrefix}:${name}:session`;
    this.#workersKey = `${queuePrefix}:${name}:workers`;
  }

  /** Announces a worker, or that it is still there. */
  async announce(worker: WorkerIdentity): Promise<void> {
    await this.#redis
      .multi()
      .sadd(this.#workersKey, worker.id)
      .set(this.#keyOf(worker.id), JSON.stringify(worker), "PX", presenceMs)
      .exec();
  }

  async leave(id: string): Promise<void> {
    await this.#redis.multi().srem(this.#workersKey, id).del(this.#keyOf(id)).exec();
  }

  /** Workers that are there, by name. */
  async workers(): Promise<readonly WorkerIdentity[]> {
    const ids = await this.#redis.smembers(this.#workersKey);
    if (ids.length === 0) return [];
    const found = await this.#redis.mget(ids.map((id) => this.#keyOf(id)));
    const gone = ids.filter((_, index) => found[index] === null);
    if (gone.length > 0) await this.#redis.srem(this.#workersKey, gone);
    const workers = found.flatMap((text) => parsed(text, workerSchema) ?? []);
    return workers.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Claims the scenario for a session, or renews the claim; gives the other session where there is one. */
  async claim(session: Session): Promise<Session | undefined> {
    const text = JSON.stringify(session);
    const first = await this.#redis.set(this.#sessionKey, text, "PX", sessionMs, "NX");
    if (first !== null) return undefined;
    const held = await this.session();
    if (held !== undefined && held.id !== session.id) return held;
    await this.#redis.set(this.#sessionKey, text, "PX", sessionMs);
    return undefined;
  }

  async session(): Promise<Session | undefined> {
    return parsed(await this.#redis.get(this.#sessionKey), sessionSchema);
  }

  async endSession(id: string): Promise<void> {
    await this.#redis.eval(deleteIfOwn, 1, this.#sessionKey, id);
  }

  #keyOf(id: string): string {
    return `${this.#workersKey}:${id}`;
  }
}

/** What another program wrote there counts as nothing. */
function parsed<T>(
  text: string | null,
  schema: { safeParse(value: unknown): { data?: T | undefined } },
): T | undefined {
  try {
    return text === null ? undefined : schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
