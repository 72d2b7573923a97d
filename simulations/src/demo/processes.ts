import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { FedLoraError } from "@fedlora/core";

export interface StartedProcess {
  readonly name: string;
  readonly child: ChildProcess;
  /** The JSON lines it prints, in order. */
  readonly lines: AsyncIterable<Record<string, unknown>>;
  /** Resolves with the exit code, or null after a signal. */
  readonly exited: Promise<number | null>;
  /** An error that says what happened and quotes the end of the process's log: the log itself goes with the work folder. */
  failure(what: string): FedLoraError;
}

/** Starts processes and ends every one of them, whatever happens. */
export class ProcessGroup {
  readonly #started: StartedProcess[] = [];

  /** Runs a Node script; stdout is read as JSON lines, stderr goes to a log file. */
  start(name: string, script: string, args: readonly string[], logFile: string): StartedProcess {
    const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const log = createWriteStream(logFile, { flags: "a" });
    child.stderr.pipe(log);
    const exited = once(child, "exit").then(([code]) => code as number | null);
    const failure = (what: string): FedLoraError => {
      const end = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-8).join("\n  ");
      return new FedLoraError(
        "unavailable",
        `${name} ${what} (exit code ${child.exitCode ?? "none"}); its log ends with\n  ${end}`,
      );
    };
    const started = { name, child, lines: jsonLines(child, name), exited, failure };
    this.#started.push(started);
    return started;
  }

  /** Rejects as soon as a process ends that should run on, with the end of its log. */
  async guard(process: StartedProcess): Promise<never> {
    await process.exited;
    throw process.failure("ended early");
  }

  /** SIGTERM, then after `graceMs` SIGKILL; only processes that were started here. */
  async stopAll(graceMs = 5000): Promise<void> {
    const running = this.#started.filter(({ child }) => child.exitCode === null && child.signalCode === null);
    for (const { child } of running) child.kill("SIGTERM");
    const timer = setTimeout(() => {
      for (const { child } of running) child.kill("SIGKILL");
    }, graceMs);
    await Promise.all(running.map(({ exited }) => exited));
    clearTimeout(timer);
  }

  /** For process exit, when nothing can be awaited any more. */
  killAll(): void {
    for (const { child } of this.#started) if (child.exitCode === null) child.kill("SIGKILL");
  }
}

async function* jsonLines(child: ChildProcess, name: string): AsyncGenerator<Record<string, unknown>> {
  if (child.stdout === null) return;
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith("{")) continue;
    try {
      yield JSON.parse(line) as Record<string, unknown>;
    } catch (cause) {
      throw new FedLoraError("internal", `${name} printed a line that is not JSON: ${line.slice(0, 200)}`, { cause });
    }
  }
}
