import { FedLoraError, isRunId, noopLogger, systemClock, type Clock, type Logger } from "@fedlora/core";
import { isDeviceClass } from "@fedlora/proto";
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { seededSecrets, type SecretSource, systemSecrets } from "../privacy/secrets.js";
import { defaultRetryPolicy, type RetryPolicy } from "../transport/retry.js";
import type { FederatedClientOptions, OwnerPolicy } from "./options.js";
import { assertPolicy } from "./policy.js";

/** Options with every default filled in and every value checked. */
export interface CompiledOptions {
  readonly source: FederatedClientOptions;
  readonly stateFolder: string;
  readonly name: string;
  readonly policy: OwnerPolicy;
  readonly logger: Logger;
  readonly cacheBytes: number;
  readonly reportIntervalMs: number;
  readonly retry: RetryPolicy;
  readonly clock: Clock;
  readonly random: () => number;
  readonly secrets: SecretSource;
}

/** Throws `config-invalid`, naming the option. */
export function compileOptions(source: FederatedClientOptions): CompiledOptions {
  for (const name of ["coordinator", "baseModel", "stateFolder"] as const) {
    if (typeof source[name] !== "string" || source[name] === "")
      throw invalid(name, source[name], "a non-empty string");
  }
  if (source.runId !== undefined && !isRunId(source.runId)) throw invalid("runId", source.runId, "a run's id");
  if (source.trainer !== undefined && source.baseModelHash === undefined) {
    throw invalid("baseModelHash", undefined, "given together with trainer");
  }
  const { deviceClass, maxRank } = source;
  if (deviceClass !== undefined && !isDeviceClass(deviceClass)) {
    throw invalid("deviceClass", deviceClass, "lower-case letters, digits and hyphens, at most 32");
  }
  if (maxRank !== undefined && !(Number.isInteger(maxRank) && maxRank >= 1 && maxRank <= 256)) {
    throw invalid("maxRank", maxRank, "an integer in [1, 256]");
  }
  const policy = source.policy ?? {};
  assertPolicy(policy);
  const retry = { ...defaultRetryPolicy, ...source.retry };
  return {
    source,
    stateFolder: resolve(source.stateFolder),
    name: (source.name ?? hostname()).slice(0, 128),
    policy,
    logger: source.logger ?? noopLogger,
    cacheBytes: positive("cacheBytes", source.cacheBytes ?? 2 ** 31),
    reportIntervalMs: positive("reportIntervalMs", source.reportIntervalMs ?? 5000),
    retry: {
      baseDelayMs: positive("retry.baseDelayMs", retry.baseDelayMs),
      maxDelayMs: positive("retry.maxDelayMs", retry.maxDelayMs),
      maxAttempts: retry.maxAttempts === undefined ? undefined : positive("retry.maxAttempts", retry.maxAttempts),
    },
    clock: source.clock ?? systemClock,
    random: source.random ?? systemRandom,
    secrets: secretsOf(source.insecureNoiseSeed),
  };
}

function secretsOf(seed: number | undefined): SecretSource {
  if (seed === undefined) return systemSecrets;
  if (Number.isSafeInteger(seed) && seed >= 0) return seededSecrets(seed);
  throw invalid("insecureNoiseSeed", seed, "an integer of at least 0");
}

const systemRandom = (): number => randomBytes(4).readUInt32LE() / 2 ** 32;

function positive(name: string, value: number): number {
  if (!(value > 0 && Number.isFinite(value))) throw invalid(name, value, "a number above 0");
  return value;
}

function invalid(name: string, value: string | number | undefined, allowed: string): FedLoraError {
  return new FedLoraError(
    "config-invalid",
    `option ${name} is ${value === undefined ? "missing" : JSON.stringify(value)}; it must be ${allowed}`,
    {
      details: { option: name },
    },
  );
}
