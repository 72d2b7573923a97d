import type { PlanInstructions, StateDict } from "@fedlora/core";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FederatedClient } from "../client.js";
import type { ClientEvent, FederatedClientOptions } from "../client/options.js";
import { FakeConnection } from "./fake-connection.js";
import { FakeCoordinator, type FakeCoordinatorOptions } from "./fake-coordinator.js";
import { fakeBaseModelHash, fakeInstructions, fakeRole, filledState } from "./fake-plan.js";
import { FakeTrainer, type FakeTrainerOptions } from "./fake-trainer.js";
import { createFastClock } from "./fast-clock.js";

export interface HarnessOptions {
  readonly coordinator?: Partial<FakeCoordinatorOptions>;
  readonly instructions?: Partial<PlanInstructions>;
  readonly trainer?: FakeTrainerOptions;
}

export interface ClientHarness {
  readonly fake: FakeCoordinator;
  readonly trainer: FakeTrainer;
  readonly folder: string;
  readonly events: ClientEvent[];
  readonly initial: StateDict;
  /** A client process: every call is another start on the same state folder. */
  start(options?: Partial<FederatedClientOptions>): FederatedClient;
  /** Starts a client, runs it to its end or until `stop` aborts, and closes it; events are gathered in `events`. */
  run(options?: Partial<FederatedClientOptions>, stop?: AbortSignal): Promise<void>;
  /** Events of one type, in order. */
  seen<Type extends ClientEvent["type"]>(type: Type): Extract<ClientEvent, { type: Type }>[];
  dispose(): Promise<void>;
}

/** Three chunks of 256 KiB, so that there is a middle to break things in. */
export const bigShape: readonly number[] = [3, 65_536];

export async function createClientHarness(options: HarnessOptions = {}): Promise<ClientHarness> {
  const folder = await mkdtemp(join(tmpdir(), "fedlora-client-"));
  const roles = [fakeRole("a", bigShape), fakeRole("b", [4])];
  const initial = filledState({ a: [0.5, bigShape], b: [-1, [4]] });
  const instructions = fakeInstructions(options.instructions?.roles ?? roles, options.instructions);
  const fake = new FakeCoordinator({ baseModelHash: fakeBaseModelHash, instructions, initial, ...options.coordinator });
  const trainer = new FakeTrainer(options.trainer);
  const clock = createFastClock();
  const events: ClientEvent[] = [];
  const start = (changes: Partial<FederatedClientOptions> = {}): FederatedClient =>
    new FederatedClient({
      coordinator: "127.0.0.1:1",
      baseModel: "unused",
      stateFolder: folder,
      data: { name: "mail", train: () => [], evaluation: () => [] },
      transport: new FakeConnection(fake),
      trainer,
      baseModelHash: fakeBaseModelHash,
      clock,
      random: () => 0.5,
      ...changes,
    });
  return {
    fake,
    trainer,
    folder,
    events,
    initial,
    start,
    run: async (changes, stop) => {
      const client = start(changes);
      try {
        for await (const event of client.run(stop)) events.push(event);
      } finally {
        await client.close();
      }
    },
    seen: (type) => events.filter((event) => event.type === type) as never,
    dispose: () => rm(folder, { recursive: true, force: true }),
  };
}
