import type { Clock } from "@fedlora/core";
import type { KeyObject } from "node:crypto";
import { createSigner } from "../config/signer.js";
import { Intake, intakeDefaults, type IntakeOptions } from "../intake/intake.js";
import { createUpdateValidator, type UpdateValidator } from "../intake/validate-blob.js";
import type { CoordinatorService } from "../service.js";
import type { BlobStore } from "../storage/storage.js";
import { createCallAdapters } from "./call.js";
import { startGrpcServer, type GrpcServer, type GrpcServerOptions } from "./grpc-server.js";
import { createAdminHandlers } from "./handlers/admin-handlers.js";
import { createCoordinatorHandlers } from "./handlers/coordinator-handlers.js";
import { RecentPlans } from "./recent-plans.js";
import { Sessions } from "./sessions.js";

export interface TransportOptions extends Omit<GrpcServerOptions, "handlers"> {
  readonly service: CoordinatorService;
  readonly blobs: BlobStore;
  /** Ed25519: signs plans, and sessions are derived from it. */
  readonly coordinatorKey: KeyObject;
  readonly clock: Clock;
  readonly pollWaitMs: number;
  readonly intake?: Partial<IntakeOptions>;
  /** Default: `createUpdateValidator(blobs)`. */
  readonly validate?: UpdateValidator;
}

/** A service on the network: server, sessions and intake. */
export interface Transport {
  readonly host: string;
  readonly port: number;
  readonly intake: Intake;
  /** Ends the calls, at most so long, and keeps what was uploaded. */
  stop(timeoutMs: number): Promise<void>;
}

export async function startTransport(options: TransportOptions): Promise<Transport> {
  const { service, blobs, coordinatorKey, clock, logger } = options;
  const intakeOptions = { ...intakeDefaults, ...options.intake };
  const intake = new Intake({
    clients: service.clients,
    blobs,
    validate: options.validate ?? createUpdateValidator(blobs),
    clock,
    options: intakeOptions,
  });
  const calls = createCallAdapters(logger);
  const handlers = {
    coordinator: createCoordinatorHandlers(calls, {
      clients: service.clients,
      blobs,
      intake,
      sessions: new Sessions(coordinatorKey, clock),
      signer: createSigner(coordinatorKey),
      plans: new RecentPlans(),
      pollWaitMs: options.pollWaitMs,
    }),
    admin: createAdminHandlers(calls, service.admin, blobs),
  };
  const server = await startGrpcServer({ ...options, handlers });
  const sweep = setInterval(() => {
    intake.releaseIdle().catch((error: unknown) => logger.warn({ err: error }, "an idle upload could not be released"));
  }, intakeOptions.idleMs / 4);
  sweep.unref();
  return { host: server.host, port: server.port, intake, stop: (timeoutMs) => stop(server, intake, sweep, timeoutMs) };
}

async function stop(server: GrpcServer, intake: Intake, sweep: NodeJS.Timeout, timeoutMs: number): Promise<void> {
  clearInterval(sweep);
  intake.drain();
  await server.shutdown(timeoutMs);
  await intake.close();
}
