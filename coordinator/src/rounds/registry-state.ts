import type { BaseModelHash, ClientId, RunId } from "@fedlora/core";

import { z } from "zod";

import type { CapabilityReport } from "../service.js";
import { PersistentMap } from "./persistent-map.js";
import type { BlobRef } from "./run-events.js";

/** Facts that belong to no run. */
export type RegistryEvent =
  | {
      readonly type: "client-enrolled";
      readonly atMs: number;
      readonly clientId: ClientId;
      readonly name: string;
      /** Raw Ed25519 key, lower-case hex. */
      readonly publicKey: string;
      readonly baseModelHashes: readonly BaseModelHash[];
      readonly capability: CapabilityReport;
    }
  | {
      readonly type: "model-registered";
      readonly atMs: number;
      readonly hash: BaseModelHash;
      readonly manifest: BlobRef;
    };

export interface EnrolledClient {
  readonly name: string;
  readonly publicKey: string;
  readonly baseModelHashes: readonly BaseModelHash[];
  readonly capability: CapabilityReport;
  readonly enrolledMs: number;
}

/** Clients and models that the coordinator knows; written as JSON, `clients` is an object. */
export interface RegistryState {
  readonly clients: PersistentMap<ClientId, EnrolledClient>;
  readonly models: Readonly<Record<BaseModelHash, BlobRef>>;
}

export const emptyRegistry: RegistryState = { clients: PersistentMap.empty(), models: {} };

export function reduceRegistry(state: RegistryState, event: RegistryEvent): RegistryState {
  switch (event.type) {
    case "client-enrolled": {
      const { clientId, name, publicKey, baseModelHashes, capability, atMs } = event;
      const enrolledMs = state.clients.get(clientId)?.enrolledMs ?? atMs;
      const client = { name, publicKey, baseModelHashes, capability, enrolledMs };
      return { ...state, clients: state.clients.with(clientId, client) };
    }
    case "model-registered":
      return { ...state, models: { ...state.models, [event.hash]: event.manifest } };
  }
}

export function isRegistryEvent(event: { readonly type: string }): event is RegistryEvent {
  return event.type === "client-enrolled" || event.type === "model-registered";
}

/** What the registry's snapshot holds: itself, and which runs have snapshots of their own. */
export interface RegistrySnapshot {
  readonly registry: RegistryState;
  readonly runs: readonly RunId[];
}

/** As of a run's last commit: fields are only ever added, each with a default. */
const registrySnapshotSchema = z.object({
  registry: z.object({
    clients: z.record(
      z.string(),
      z.object({
        name: z.string(),
        publicKey: z.string(),
        baseModelHashes: z.array(z.string()),
        capability: z.record(z.string(), z.unknown()),
        enrolledMs: z.number(),
      }),
    ),
    models: z.record(z.string(), z.object({ id: z.string(), size: z.number() })),
  }),
  runs: z.array(z.string()),
});

/** A registry's snapshot of any version; undefined for what is none. */
export function parseRegistrySnapshot(value: unknown): RegistrySnapshot | undefined {
  const parsed = registrySnapshotSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { registry, runs } = parsed.data;
  const clients = PersistentMap.of(Object.entries(registry.clients));
  // Ids are texts here, and a capability is whatever its client said when it enrolled.
  return { registry: { ...registry, clients }, runs } as unknown as RegistrySnapshot;
}
