import type { AdminClient } from "@fedlora/client-sdk";
import { FedLoraError, isRunId, type RunId } from "@fedlora/core";
import { Option, type Command } from "commander";
import { createOutput, type Output } from "../output.js";

export const defaultListen = "127.0.0.1:8470";

/** Options that every command has which talks to a coordinator. */
export function withCoordinator(command: Command): Command {
  return command
    .addOption(
      new Option("-c, --coordinator <host:port>", "address of the coordinator")
        .env("FEDLORA_COORDINATOR")
        .default(defaultListen),
    )
    .option("--insecure", "allow plaintext to another host than loopback");
}

export function withJson(command: Command): Command {
  return command.option("--json", "print one JSON value instead of tables");
}

/** Options of both sides of a simulation on several machines. */
export function withRedis(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--redis <url>",
        "redis://host:port, rediss://host:port or the path of a Unix socket: train on the workers there",
      ).env("FEDLORA_REDIS"),
    )
    .option("--insecure", "allow Redis and workers on other machines without TLS")
    .option(
      "--patience <seconds>",
      "how long Redis may be away, or no worker there, before it is given up",
      wholeNumber("--patience", 1, 86_400),
      120,
    );
}

/** Runs a task with an admin connection and closes it afterwards. */
export async function withAdmin<T>(
  options: { readonly coordinator: string; readonly insecure?: boolean; readonly json?: boolean },
  task: (admin: AdminClient, output: Output) => Promise<T>,
): Promise<T> {
  const { AdminClient } = await import("@fedlora/client-sdk");
  const admin = new AdminClient({ coordinator: options.coordinator, insecure: options.insecure === true });
  try {
    return await task(admin, createOutput(options.json === true));
  } finally {
    admin.close();
  }
}

export function parseRunId(value: string): RunId {
  if (isRunId(value)) return value;
  throw new FedLoraError(
    "request-invalid",
    `run id "${value}" must be letters, digits, '.', '_' or '-', as \`fedlora run list\` prints it`,
  );
}

/** A whole number from a flag, with its bounds in the message. */
export function wholeNumber(flag: string, least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (value.trim() !== "" && Number.isInteger(number) && number >= least && number <= most) return number;
    throw new FedLoraError("config-invalid", `${flag} "${value}" must be a whole number in [${least}, ${most}]`);
  };
}

/** A signal that Ctrl-C and SIGTERM abort; the second Ctrl-C ends the process at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  let isSecond = false;
  const stop = (): void => {
    if (isSecond) process.exit(130);
    isSecond = true;
    controller.abort(new FedLoraError("cancelled", "interrupted"));
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return controller.signal;
}
