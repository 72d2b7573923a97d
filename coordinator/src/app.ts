import { builtinMethods } from "@fedlora/aggregators";
import {
  FedLoraError,
  noopLogger,
  parseModelManifest,
  parseRunSpec,
  systemClock,
  type Clock,
  type Logger,
} from "@fedlora/core";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { AggregationPool } from "./aggregate/pool.js";
import {
  bytesPerMb,
  compileConfig,
  parseAddress,
  type CoordinatorConfig,
  type CoordinatorConfigInput,
} from "./config/config.js";
import { startHttpServer, type HttpServer } from "./observe/http-server.js";
import { createMetrics, type CoordinatorMetrics } from "./observe/metrics.js";
import { withRunLog } from "./observe/run-log.js";
import { ThreadedAccounting } from "./privacy/threaded-accounting.js";
import type { CoordinatorServiceOptions, CoordinatorTuning } from "./rounds/coordinator-options.js";
import { createCoordinatorService } from "./rounds/coordinator-service.js";
import type { AdminService, CoordinatorService } from "./service.js";
import { startTransport, type Transport } from "./server/transport.js";
import { loadCoordinatorKey } from "./storage/coordinator-key.js";
import { openFileStorage } from "./storage/file-storage.js";
import type { Storage } from "./storage/storage.js";

/** What tests and simulations put in the place of the real parts. */
export interface CoordinatorParts {
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly tuning?: Partial<CoordinatorTuning>;
  readonly createService?: (options: CoordinatorServiceOptions) => Promise<CoordinatorService>;
}

/** A coordinator that listens. */
export interface Coordinator {
  readonly service: CoordinatorService;
  /** host:port of the gRPC server. */
  readonly address: string;
  /** host:port of metrics and health; undefined when off. */
  readonly httpAddress: string | undefined;
  /** Resolves, once, when the coordinator cannot go on (`storage-fenced`). */
  readonly failed: Promise<FedLoraError>;
  /** Admits nothing new, lets what runs finish for at most `timeoutMs`, flushes, then closes. */
  drain(timeoutMs: number): Promise<void>;
  /** Ends calls at once; everything acknowledged is durable already. */
  close(): Promise<void>;
}

/**
 * The composition root: storage, rounds, transport, metrics. Listens when it returns. Throws `config-invalid`,
 * `insecure-refused`, `storage-fenced`, `journal-corrupt` and what the files of `models` and `runs` are refused with.
 */
export async function createCoordinator(
  input: CoordinatorConfigInput = {},
  parts: CoordinatorParts = {},
): Promise<Coordinator> {
  const config = compileConfig(input);
  const { clock = systemClock, logger = noopLogger } = parts;
  const closers = new Closers();
  try {
    const storage = await openFileStorage({ folder: config.storage, takeOver: config.takeOver, clock, logger });
    closers.add(() => storage.close());
    return await start(config, parts, storage, clock, logger, closers);
  } catch (error) {
    await closers.closeAll();
    throw error;
  }
}

async function start(
  config: CoordinatorConfig,
  parts: CoordinatorParts,
  storage: Storage,
  clock: Clock,
  logger: Logger,
  closers: Closers,
): Promise<Coordinator> {
  const coordinatorKey = await loadCoordinatorKey(config.storage);
  const aggregation = new AggregationPool({ threadsPerJob: config.aggregationThreads });
  closers.add(() => aggregation.close());
  const accounting = new ThreadedAccounting();
  closers.add(() => accounting.close());
  const running: { transport?: Transport; isDraining: boolean } = { isDraining: false };
  const metrics = createMetrics({
    openUploads: () => running.transport?.intake.openUploads ?? 0,
    journalSequence: () => storage.journal.sequence,
  });
  closers.add(() => metrics.close());
  let onFatal: (error: FedLoraError) => void = () => undefined;
  const failed = new Promise<FedLoraError>((resolve) => (onFatal = resolve));
  const service = await (parts.createService ?? createCoordinatorService)({
    storage,
    methods: builtinMethods,
    aggregation,
    accounting,
    coordinatorKey,
    clock,
    logger,
    hooks: withRunLog({ ...metrics.hooks, onFatal }, logger),
    ...(parts.tuning === undefined ? {} : { tuning: parts.tuning }),
  });
  closers.add(() => service.close());
  await addConfigured(service.admin, config);
  const { host, port } = parseAddress(config.listen);
  const transport = await startTransport({
    service,
    blobs: storage.blobs,
    coordinatorKey,
    clock,
    logger,
    host,
    port,
    insecure: config.insecure,
    maxConnections: config.maxConnections,
    pollWaitMs: config.pollWaitMs,
    intake: {
      maxUploads: config.maxUploads,
      budgetBytes: config.uploadBudgetMb * bytesPerMb,
      idleMs: config.uploadIdleMs,
    },
  });
  running.transport = transport;
  closers.add(() => transport.stop(0));
  const http = await startHttp(config, metrics, logger, async () => {
    if (running.isDraining) return "draining";
    return (await storage.healthy()) ? undefined : "storage cannot be written";
  });
  if (http !== undefined) closers.add(() => http.close());
  const sweep = setInterval(() => void sweepPartials(storage, config, logger), config.partialsKeptMs / 24);
  sweep.unref();
  closers.add(() => clearInterval(sweep));
  const address = showAddress(host, transport.port);
  const httpAddress = http === undefined ? undefined : showAddress(parseAddress(config.http).host, http.port);
  logger.info({ address, httpAddress, storage: config.storage }, "the coordinator listens");
  return {
    service,
    address,
    httpAddress,
    failed,
    drain: async (timeoutMs) => {
      running.isDraining = true;
      const deadline = clock.monotonicMs() + timeoutMs;
      transport.intake.drain();
      await service.drain(timeoutMs);
      await transport.stop(Math.max(0, deadline - clock.monotonicMs()));
      await closers.closeAll();
    },
    close: () => closers.closeAll(),
  };
}

async function addConfigured(admin: AdminService, config: CoordinatorConfig): Promise<void> {
  for (const path of config.models) {
    const text = await readText(path);
    await admin.registerModel(parseModelManifest(parseJsonFile(path, text)));
  }
  for (const path of config.runs) {
    const text = await readText(path);
    // The same file at the next start is the same run.
    const key = `start-${createHash("sha256").update(text).digest("hex")}`;
    await admin.createRun(key, parseRunSpec(text));
  }
}

async function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: unknown) => {
    throw new FedLoraError("file-missing", `cannot read "${path}"`, { cause });
  });
}

function parseJsonFile(path: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new FedLoraError("file-invalid", `"${path}" is not JSON: ${(cause as Error).message}`, { cause });
  }
}

async function startHttp(
  config: CoordinatorConfig,
  metrics: CoordinatorMetrics,
  logger: Logger,
  notReady: () => Promise<string | undefined>,
): Promise<HttpServer | undefined> {
  if (config.http === "off") return undefined;
  return startHttpServer({ ...parseAddress(config.http), registry: metrics.registry, notReady, logger });
}

async function sweepPartials(storage: Storage, config: CoordinatorConfig, logger: Logger): Promise<void> {
  try {
    const removed = await storage.blobs.sweepPartials(config.partialsKeptMs);
    if (removed > 0) logger.info({ removed }, "removed unfinished uploads that nobody came back for");
  } catch (error) {
    logger.warn({ err: error }, "unfinished uploads could not be swept");
  }
}

const showAddress = (host: string, port: number): string => `${host.includes(":") ? `[${host}]` : host}:${port}`;

/** Closes in the reverse order of opening, each once, all of them even when one fails. */
class Closers {
  readonly #closers: (() => unknown)[] = [];

  add(close: () => unknown): void {
    this.#closers.push(close);
  }

  async closeAll(): Promise<void> {
    let failure: unknown;
    for (let close = this.#closers.pop(); close !== undefined; close = this.#closers.pop()) {
      try {
        await close();
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw FedLoraError.from(failure);
  }
}
