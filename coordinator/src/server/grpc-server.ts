import { FedLoraError, type Logger } from "@fedlora/core";
import { adminService, coordinatorService, limits, type AdminHandlers, type CoordinatorHandlers } from "@fedlora/proto";
import type { Server, ServerOptions } from "@grpc/grpc-js";
import { callTimesOf } from "./call-times.js";
import { serverCredentials } from "./credentials.js";
import { createHttp2Server } from "./http2-server.js";
import { createDeadlineInterceptor, type CallTimes } from "./interceptors/deadline.js";
import { probeWindows } from "./window-self-test.js";

export interface GrpcServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Serve plaintext beyond loopback. */
  readonly insecure: boolean;
  readonly handlers: { readonly coordinator: CoordinatorHandlers; readonly admin: AdminHandlers };
  readonly logger: Logger;
  /** Default 4096. */
  readonly maxConnections?: number;
  /** Deadlines by method path; default `callTimesOf`. */
  readonly timesOf?: (path: string) => CallTimes;
}

export interface GrpcServer {
  readonly host: string;
  readonly port: number;
  /** Takes no new connections and calls, waits for the running ones, at most so long. */
  shutdown(timeoutMs: number): Promise<void>;
}

const serverOptions: ServerOptions = {
  "grpc.max_receive_message_length": limits.dataMessageBytes,
  "grpc.max_send_message_length": limits.dataMessageBytes,
  "grpc.max_concurrent_streams": limits.streamsPerConnection,
  "grpc.keepalive_time_ms": 120_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.max_connection_age_ms": 3_600_000,
  "grpc.max_connection_age_grace_ms": 3_600_000,
  "grpc.max_connection_idle_ms": 600_000,
  // Its traces of calls and sessions cost time and memory that nobody reads.
  "grpc.enable_channelz": 0,
};

/**
 * Listens, then checks through a connection of its own that clients get the windows the protocol needs. Throws
 * `insecure-refused`, `config-invalid` (the address cannot be taken), `internal` (the windows are small).
 */
export async function startGrpcServer(options: GrpcServerOptions): Promise<GrpcServer> {
  const { host, logger } = options;
  const credentials = serverCredentials(host, options.insecure);
  const interceptors = [createDeadlineInterceptor(options.timesOf ?? callTimesOf)];
  const server = createHttp2Server({ ...serverOptions, interceptors }, options.maxConnections ?? 4096);
  server.addService(coordinatorService, options.handlers.coordinator);
  server.addService(adminService, options.handlers.admin);
  const hostPart = host.includes(":") ? `[${host}]` : host;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${hostPart}:${options.port}`, credentials, (error, bound) => {
      if (error) {
        const message = `cannot listen on ${hostPart}:${options.port}: ${error.message}`;
        reject(new FedLoraError("config-invalid", message, { cause: error }));
      } else resolve(bound);
    });
  });
  try {
    await assertWindows(host, port, logger);
  } catch (error) {
    server.forceShutdown();
    throw error;
  }
  return { host, port, shutdown: (timeoutMs) => shutDown(server, timeoutMs) };
}

async function assertWindows(host: string, port: number, logger: Logger): Promise<void> {
  const target = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "[::1]" : host.includes(":") ? `[${host}]` : host;
  const report = await probeWindows(`http://${target}:${port}`).catch((cause: unknown) => {
    throw new FedLoraError("internal", `the start-up self-test cannot reach ${target}:${port}`, { cause });
  });
  if (!report.isLargeEnough) {
    const message =
      `the server grants flow-control windows of ${report.streamBytes} bytes per stream and ${report.connectionBytes} per ` +
      `connection; both must be ${limits.windowBytes}, or transfers crawl. Is @grpc/grpc-js the pinned version?`;
    throw new FedLoraError("internal", message);
  }
  logger.debug({ streamBytes: report.streamBytes, connectionBytes: report.connectionBytes }, "flow-control windows");
}

async function shutDown(server: Server, timeoutMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, timeoutMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
