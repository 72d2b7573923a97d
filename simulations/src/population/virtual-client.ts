import { seededSecrets, type ClientEvent, type LocalTrainer, type Transport } from "@fedlora/client-sdk";
import { takePart } from "@fedlora/client-sdk/parts";
import { RandomStream, deriveKey, noopLogger } from "@fedlora/core";
import { DeviceTrainer } from "../device/device-trainer.js";
import { LinkedTransport } from "../device/linked-transport.js";
import { AttackingTrainer } from "../faults/attacking-trainer.js";
import type { Behaviour } from "../faults/behaviour.js";
import { FaultyTransport } from "../faults/faulty-transport.js";
import type { ClientData } from "../runtime/client-data.js";
import { InProcessTransport } from "../runtime/in-process-transport.js";
import { VirtualState, type ClientMemory } from "../runtime/virtual-state.js";
import type { ClientWorld } from "./client-world.js";
import { ownDataOf } from "./own-data.js";

const retryPolicy = { baseDelayMs: 500, maxDelayMs: 30_000, maxAttempts: undefined };

export interface VirtualClientOptions {
  readonly client: number;
  /** Times that the client was checked in before, so that nothing random repeats. */
  readonly visit: number;
  readonly memory: ClientMemory;
  readonly onEvent: (event: ClientEvent) => void;
  /** The client is gone from one moment to the next. */
  readonly vanish: () => void;
}

/**
 * One visit of a virtual client: the SDK's own client code on an in-process transport, with the device's speed and whatever it
 * does wrong wrapped around transport and trainer. Ends as `takePart` does.
 */
export async function runVirtualClient(
  world: ClientWorld,
  { client, visit, memory, onEvent, vanish }: VirtualClientOptions,
  signal: AbortSignal,
): Promise<void> {
  const actor = client + 1;
  const clock = world.clock.actor(actor);
  const device = world.fleet.profileOf(client);
  const name = world.partition.nameOf(client);
  const behaviour = world.behaviours.of(client);
  const data = dataOf(world, client, behaviour);
  const { pool, kept, coordinator } = world;
  const state = new VirtualState({ client, name: `${client} ${name}`, memory, pool, kept });
  const link = new LinkedTransport(new InProcessTransport(coordinator), device, clock);
  const trainer = new DeviceTrainer({
    trainer: world.room,
    device,
    data,
    pool,
    memory,
    clock: world.clock,
    actor,
    vanish,
    fate: (round) => fateOf(world, client, round, visit),
    depth: world.depth,
    onTraining: (round, part) => world.onTraining(client, round, part),
  });
  const retry = new RandomStream(deriveKey(world.key, "retry", client, visit));
  await takePart(
    {
      name: name.slice(0, 128),
      coordinator: "in-process",
      transport: misbehaving(world, link, { client, behaviour, vanish, state }),
      state,
      baseModelHash: world.baseModelHash,
      trainer: attacking(world, trainer, client, behaviour),
      data,
      capability: {
        measuredStep: () => undefined,
        measuredUpload: () => undefined,
        report: () => device.capability,
      },
      policy: {},
      runId: world.runId,
      reportIntervalMs: world.reportIntervalMs,
      retry: { clock, random: () => retry.uniform(), policy: retryPolicy },
      secrets: seededSecrets(secretSeed(world, client, visit)),
      clock,
      logger: noopLogger,
      emit: onEvent,
      hasRoom: () => Promise.resolve(),
    },
    signal,
  );
}

function dataOf(world: ClientWorld, client: number, behaviour: Behaviour): ClientData {
  const numLabels = world.data.labels?.length ?? 0;
  const relabel = behaviour.has("label-flip") ? (label: number) => numLabels - 1 - label : undefined;
  return ownDataOf(world, client, relabel);
}

/** 53 bits: noise that can be repeated, which protects nobody but costs accuracy as real noise does. */
function secretSeed({ key }: ClientWorld, client: number, visit: number): number {
  const [high, low] = deriveKey(key, "secrets", client, visit);
  return (high % 2 ** 21) * 2 ** 32 + low;
}

/** At which share of its training a client vanishes, if it does. */
function fateOf({ dropout, key }: ClientWorld, client: number, round: number, visit: number): number | undefined {
  if (dropout === undefined) return undefined;
  const stream = new RandomStream(deriveKey(key, "dropout", client, round, visit));
  return stream.uniform() < dropout.prob ? stream.uniform() : undefined;
}

function misbehaving(
  { behaviours, clock }: ClientWorld,
  inner: Transport,
  parts: { client: number; behaviour: Behaviour; vanish: () => void; state: VirtualState },
): Transport {
  const { client, behaviour, vanish, state } = parts;
  if (behaviour.size === 0) return inner;
  return new FaultyTransport({
    inner,
    behaviours,
    behaviour,
    client,
    clock: clock.actor(client + 1),
    vanish,
    updateOf: (planId) => state.updates.bytesOf(planId),
  });
}

function attacking(
  { behaviours }: ClientWorld,
  trainer: LocalTrainer,
  client: number,
  behaviour: Behaviour,
): LocalTrainer {
  return behaviour.size === 0 ? trainer : new AttackingTrainer({ trainer, behaviours, behaviour, client });
}
