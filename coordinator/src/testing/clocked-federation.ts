import type { RoundPlan, RunId, RunSpecInput } from "@fedlora/core";
import { ManualClock } from "@fedlora/core/testing";

import type { CoordinatorServiceOptions } from "../rounds/coordinator-options.js";
import type { CoordinatorService, PollAnswer, RunDetail } from "../service.js";
import { MemoryMedium, openMemoryStorage } from "../storage/memory-storage.js";
import { TestClient, countingBytes, openTestCoordinator, testManifest, testSpec } from "./federation.js";

/** A coordinator in memory whose time the test moves, with clients that do what they are told. */
export class ClockedFederation {
  readonly clock = new ManualClock(1_000_000);
  readonly medium = new MemoryMedium();
  storage = openMemoryStorage(this.medium);
  service!: CoordinatorService;
  runId!: RunId;
  readonly clients = new Map<string, TestClient>();

  /** Enrols the clients and creates a run, the one that `runId` names. */
  async start(names: readonly string[], changes: Partial<RunSpecInput> = {}): Promise<this> {
    this.service = await openTestCoordinator(this.storage, { clock: this.clock });
    for (const name of names) await this.enrol(name);
    await this.service.admin.registerModel(testManifest);
    this.runId = (await this.service.admin.createRun("key", testSpec(changes))).summary.runId;
    return this;
  }

  async enrol(name: string): Promise<TestClient> {
    const client = new TestClient(
      name,
      () => this.service,
      () => this.storage,
    );
    this.clients.set(name, client);
    await client.enrol();
    return client;
  }

  client(name: string): TestClient {
    return this.clients.get(name)!;
  }

  /** Starts long polls and gives what they were answered once the clock has moved on by `ms`. */
  async polls(names: readonly string[], ms = 10): Promise<PollAnswer[]> {
    const answers = names.map((name) => this.client(name).poll(ms));
    await this.clock.advance(ms);
    return Promise.all(answers);
  }

  async plans(...names: readonly string[]): Promise<RoundPlan[]> {
    await this.detail();
    const answers = await this.polls(names);
    return answers.map((answer, index) => {
      if (answer.kind !== "plan") throw new Error(`${names[index]!} got ${JSON.stringify(answer)}`);
      return answer.plan;
    });
  }

  /** Aggregation reads files, which no manual clock moves on. */
  async detail(runId: RunId = this.runId): Promise<RunDetail> {
    for (;;) {
      const detail = await this.service.admin.getRun(runId);
      const { phase, state } = detail.summary;
      const isMoving = phase === "aggregating" || phase === "committed";
      if (state !== "running" || !isMoving) return detail;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async kinds(): Promise<string[]> {
    const kinds: string[] = [];
    for await (const { fact } of this.service.admin.audit(this.runId, 0)) kinds.push(String(fact["type"]));
    return kinds;
  }

  /** As after kill -9. */
  async restart(options: Partial<CoordinatorServiceOptions> = {}): Promise<void> {
    this.storage = openMemoryStorage(this.medium);
    const randomBytes = countingBytes(9);
    this.service = await openTestCoordinator(this.storage, { clock: this.clock, randomBytes, ...options });
  }
}
