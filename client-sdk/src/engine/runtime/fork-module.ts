import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

/**
 * Runs a module in a process with a message channel of structured clones. Its standard error is kept for the caller, so
 * that the runtimes' own lines do not mix with the application's.
 *
 * @param entry URL of the module without its extension; it runs as source or built, as this file does
 */
export function forkModule(entry: URL): ChildProcess {
  const isSource = import.meta.url.endsWith(".ts");
  return fork(fileURLToPath(new URL(`${entry.href}${isSource ? ".ts" : ".js"}`)), [], {
    serialization: "advanced",
    execArgv: isSource ? sourceArguments() : [],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
}

/** Sources need the loader of the tests and their export condition, found from here and not from the working directory. */
function sourceArguments(): string[] {
  const loader = createRequire(import.meta.url).resolve("tsx");
  return ["--import", pathToFileURL(loader).href, "--conditions=@fedlora/source"];
}
