import { FedLoraError } from "@fedlora/core";
import { availableParallelism } from "node:os";
import { limits } from "@fedlora/proto";
import { z } from "zod";

const mib = 1024 * 1024;
const address = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:[\]]+):\d{1,5}$/, "must be host:port, an IPv6 host in brackets");

/** Everything an operator sets. Strict: an unknown key is refused. */
export const coordinatorConfigSchema = z.strictObject({
  listen: address.default("127.0.0.1:8470").describe("Address of the gRPC server; port 0 takes a free one."),
  http: z
    .union([address, z.literal("off")])
    .default("127.0.0.1:9464")
    .describe("Address of /metrics, /healthz and /readyz, or `off`."),
  storage: z.string().min(1).default(".fedlora/coordinator").describe("Folder of the journal, blobs and the key."),
  insecure: z.boolean().default(false).describe("Serve plaintext beyond loopback; default false."),
  takeOver: z
    .boolean()
    .default(false)
    .describe("Fence a live coordinator that holds the storage folder; default false."),
  logLevel: z
    .enum(["debug", "info", "warn", "error", "silent"])
    .default("info")
    .describe("Least level that is logged."),
  pollWaitMs: z
    .int()
    .min(0)
    .max(limits.pollWaitMs)
    .default(25_000)
    .describe("How long a poll waits for a plan; 0 to 120000, default 25000."),
  maxUploads: z.int().min(1).max(1024).default(8).describe("Uploads at once; others wait their turn. Default 8."),
  uploadBudgetMb: z
    .int()
    .min(16)
    .max(65_536)
    .default(160)
    .describe("MiB that all uploads together may hold in memory; default 160."),
  uploadIdleMs: z
    .int()
    .min(1000)
    .default(30_000)
    .describe("Silence after which an upload gives its place to another; default 30000."),
  maxConnections: z.int().min(1).max(65_535).default(4096).describe("Connections at once; default 4096."),
  partialsKeptMs: z
    .int()
    .min(60_000)
    .default(24 * 3_600_000)
    .describe("How long the bytes of an unfinished upload are kept; default one day."),
  aggregationThreads: z
    .int()
    .min(1)
    .max(64)
    .default(() => Math.min(2, availableParallelism()))
    .describe("Threads that share the aggregation of one round; 1 to 64, default 2, or 1 on a single core."),
  drainMs: z.int().min(0).default(25_000).describe("Longest graceful end after SIGTERM; default 25000."),
  models: z.array(z.string().min(1)).default([]).describe("Model manifests registered at start."),
  runs: z.array(z.string().min(1)).default([]).describe("Run specs created at start, once per file content."),
});

export type CoordinatorConfigInput = z.input<typeof coordinatorConfigSchema>;
export type CoordinatorConfig = z.output<typeof coordinatorConfigSchema>;

export const bytesPerMb = mib;

/** Fills defaults and checks ranges. `source` says where a value came from. Throws `config-invalid` naming the option. */
export function compileConfig(input: unknown, source: (option: string) => string = () => ""): CoordinatorConfig {
  const parsed = coordinatorConfigSchema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const option = issue?.code === "unrecognized_keys" ? (issue.keys[0] ?? "") : String(issue?.path[0] ?? "");
  const known = issue?.code === "unrecognized_keys" ? `; known options: ${optionNames.join(", ")}` : "";
  throw new FedLoraError(
    "config-invalid",
    `option "${option}"${source(option)}: ${issue?.message ?? "invalid"}${known}`,
    {
      details: { option },
    },
  );
}

export const optionNames = Object.keys(coordinatorConfigSchema.shape) as readonly (keyof CoordinatorConfig)[];

export function parseAddress(value: string): { readonly host: string; readonly port: number } {
  const colon = value.lastIndexOf(":");
  const port = Number(value.slice(colon + 1));
  if (!(port >= 0 && port <= 65_535)) {
    throw new FedLoraError("config-invalid", `address "${value}": the port must be in [0, 65535]`);
  }
  return { host: value.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port };
}
