import { FedLoraError } from "@fedlora/core";
import { createCoordinator } from "./app.js";
import { helpText } from "./config/help.js";
import { loadConfig } from "./config/load-config.js";
import { createLogger } from "./observe/logging.js";
import { version } from "./version.js";

/**
 * Runs a coordinator as a process: reads flags and environment, serves until SIGTERM or SIGINT, drains and resolves with the
 * exit code. A second signal ends the process at once. Failures to start are thrown as FedLoraErrors.
 */
export async function runCoordinator(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<number> {
  const loaded = await loadConfig(argv, env);
  if (loaded.kind !== "config") {
    process.stdout.write(loaded.kind === "help" ? helpText() : `${version}\n`);
    return 0;
  }
  const { config } = loaded;
  const logger = createLogger(config.logLevel);
  const coordinator = await createCoordinator(config, { logger });
  // One line on stdout, for whoever started this process with port 0.
  process.stdout.write(
    `${JSON.stringify({ listening: coordinator.address, http: coordinator.httpAddress ?? null })}\n`,
  );
  const stopped = await Promise.race([nextSignal(), coordinator.failed]);
  if (stopped instanceof FedLoraError) {
    logger.error({ code: stopped.code }, `${stopped.message}; ${stopped.remedy}`);
    await coordinator.close();
    return 1;
  }
  logger.info({ signal: stopped }, "draining; a second signal ends at once");
  void nextSignal().then(() => process.exit(1));
  await coordinator.drain(config.drainMs);
  logger.info({}, "drained");
  return 0;
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const signals = ["SIGTERM", "SIGINT"] as const;
    const take = (signal: NodeJS.Signals): void => {
      for (const name of signals) process.off(name, take);
      resolve(signal);
    };
    for (const name of signals) process.on(name, take);
  });
}
