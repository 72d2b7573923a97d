import { Channel, makeClientConstructor, Metadata, type ChannelCredentials, type ChannelOptions } from "@grpc/grpc-js";
import { adminService, coordinatorService } from "./definitions.js";
import type { AdminClient } from "./gen/fedlora/v1/Admin.js";
import type { CoordinatorClient } from "./gen/fedlora/v1/Coordinator.js";
import { limits } from "./limits.js";

/** Both services over one channel. */
export interface Clients {
  readonly coordinator: CoordinatorClient;
  readonly admin: AdminClient;
  close(): void;
}

/**
 * The channel as the protocol needs it: an 8 MiB window (the stock 64 KiB crawls beyond a local network), messages of at
 * most one chunk, no transparent retries (they buffer uploads; the SDK resumes by offset instead), a ping per minute.
 */
export const channelOptions: ChannelOptions = {
  "grpc-node.flow_control_window": limits.windowBytes,
  "grpc.max_receive_message_length": limits.dataMessageBytes,
  "grpc.max_send_message_length": limits.dataMessageBytes,
  "grpc.enable_retries": 0,
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 250,
  "grpc.max_reconnect_backoff_ms": 10_000,
};

const CoordinatorConstructor = makeClientConstructor(coordinatorService, "Coordinator");
const AdminConstructor = makeClientConstructor(adminService, "Admin");

/** Does not connect: the first call does. `address` is host:port; `options` come on top of `channelOptions`. */
export function createClients(address: string, credentials: ChannelCredentials, options: ChannelOptions = {}): Clients {
  const channel = new Channel(address, credentials, { ...channelOptions, ...options });
  const shared = { channelOverride: channel };
  return {
    coordinator: new CoordinatorConstructor(address, credentials, shared) as unknown as CoordinatorClient,
    admin: new AdminConstructor(address, credentials, shared) as unknown as AdminClient,
    close: () => channel.close(),
  };
}

export const sessionMetadataKey = "fedlora-session";

/** The metadata of every call but Enrol. */
export function sessionMetadata(session: Uint8Array): Metadata {
  const metadata = new Metadata();
  metadata.set(sessionMetadataKey, Buffer.from(session).toString("base64url"));
  return metadata;
}
