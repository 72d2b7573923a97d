import { FedLoraError } from "@fedlora/core";
import { makeProcessFolder } from "@fedlora/core/node";
import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadData } from "../data/load-data.js";
import { openModel } from "../run/open-model.js";
import type { ScenarioProgress } from "../run/run-scenario.js";
import { assertScenario } from "../scenario/check-scenario.js";
import { parseScenario } from "../scenario/parse-scenario.js";
import { assertSameContent, type WorkerIdentity } from "./identity.js";
import { parseRedisAddress } from "./redis-address.js";
import { RedisLink } from "./redis-link.js";
import { Roster, tickMs } from "./roster.js";
import { SessionWorker, type SessionWorkerOptions, type WorkerEvent } from "./session-worker.js";

/** A session that is missing for so long is over. */
const graceMs = 3000;

export interface SimulationWorkerOptions {
  /** Path of the scenario, the same one as the simulation's. */
  readonly path: string;
  readonly redis: string;
  readonly insecure: boolean;
  /** Threads or engines at work at a time, at least 1. */
  readonly workers: number;
  readonly cacheFolder: string;
  /** How long Redis may be away. */
  readonly patienceMs: number;
  readonly onEvent: (event: WorkerEvent) => void;
  readonly progress: ScenarioProgress;
  readonly signal: AbortSignal;
}

/**
 * Trains for simulations of a scenario until the signal aborts, one session after the other. Reads data and base model itself:
 * what comes over the network are adapters and row numbers.
 *
 * @throws FedLoraError `queue-unavailable` at once or after the patience; `engine-mixed` and `worker-mismatch` where a
 *   simulation has another engine, other data or another base model; what reading the scenario, data and model throws
 */
export async function runSimulationWorker(options: SimulationWorkerOptions): Promise<void> {
  const { path, redis, insecure, workers, cacheFolder, patienceMs, progress, onEvent, signal } = options;
  const say = (text: string): void => progress.say(text);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new FedLoraError("file-missing", `cannot read the scenario "${path}"`, { cause });
  });
  const scenario = parseScenario(text);
  assertScenario(scenario, []);
  const lost = new AbortController();
  const address = parseRedisAddress(redis, insecure);
  const link = await RedisLink.open({ address, patienceMs, say, onLost: (error) => lost.abort(error) });
  const folder = await makeProcessFolder("fedlora-worker");
  const close: (() => Promise<void>)[] = [() => rm(folder, { recursive: true, force: true })];
  const over = AbortSignal.any([signal, lost.signal]);
  try {
    say(`Reading the data: ${scenario.data.kind}`);
    const data = await loadData(scenario.data, dirname(resolve(path)));
    const model = {
      ...{ model: scenario.model, data, folder: dirname(resolve(path)), cacheFolder: resolve(cacheFolder) },
      ...{ progress, signal },
    };
    const { manifest, room } = await openModel({ ...model, workers: Math.max(1, workers) });
    close.unshift(() => room.close());
    progress.end();
    const worker: WorkerIdentity = {
      id: randomUUID(),
      name: `${hostname()}/${process.pid}`,
      trainers: Math.max(1, workers),
      engine: { ...room.engine, directives: [...room.engine.directives] },
      data: data.info.sha256,
      model: manifest.hash,
    };
    const roster = new Roster(link.redis, scenario.name);
    onEvent({ event: "ready", worker: worker.name, trainers: worker.trainers, engine: worker.engine.fingerprint });
    const parts = { name: scenario.name, worker: worker.name, link, room, data, folder, onEvent };
    await serve(parts, worker, roster, over);
    if (!signal.aborted) over.throwIfAborted();
  } finally {
    for (const each of close) await each();
    link.close();
  }
}

/** Ends when the signal aborts. */
async function serve(
  parts: Omit<SessionWorkerOptions, "session">,
  worker: WorkerIdentity,
  roster: Roster,
  signal: AbortSignal,
): Promise<void> {
  const { link } = parts;
  let current: SessionWorker | undefined;
  let seenMs = 0;
  // Commands that wait while Redis is away must not keep this from ending.
  const stop = (): void => {
    if (link.isAway) link.close();
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    while (!signal.aborted) {
      await sleep(tickMs, undefined, { signal });
      if (link.isAway) continue;
      const [session] = await Promise.all([roster.session(), roster.announce(worker)]);
      if (session?.content !== undefined) {
        assertSameContent(worker, { ...session.content, name: session.name });
        seenMs = performance.now();
      }
      // A Redis that was restarted has forgotten the session, but not for long.
      const isForgotten = session === undefined && performance.now() - seenMs < graceMs;
      if (current !== undefined && current.sessionId !== session?.id && !isForgotten) {
        await current.close();
        current = undefined;
      }
      if (current === undefined && session?.content !== undefined) {
        current = await SessionWorker.start({ ...parts, session });
      }
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  } finally {
    await current?.close();
    if (!link.isAway) await roster.leave(worker.id);
  }
}
