import { FedLoraError } from "@fedlora/core";
import { runCoordinator } from "./run-coordinator.js";

try {
  // Workers, sockets and timers that are left must not keep a drained coordinator alive.
  process.exit(await runCoordinator(process.argv.slice(2)));
} catch (thrown) {
  const error = FedLoraError.from(thrown);
  process.stderr.write(`fedlora-coordinator: ${error.message} [${error.code}]\n${error.remedy}\n`);
  if (error.code === "internal") process.stderr.write(`${(error.cause as Error | undefined)?.stack ?? ""}\n`);
  process.exit(1);
}
