import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const launcher = fileURLToPath(new URL("../../cli/bin/fedlora.js", import.meta.url));

/** A running `fedlora` command with what it printed so far. */
export class RunningCommand {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  stderr = "";
  readonly exited: Promise<number | null>;
  #waiting: (() => void)[] = [];

  constructor(args: readonly string[], cwd?: string) {
    this.child = spawn(process.execPath, [launcher, ...args], { stdio: ["ignore", "pipe", "pipe"], cwd });
    this.child.stderr!.on("data", (text: Buffer) => (this.stderr += text.toString()));
    createInterface({ input: this.child.stdout! }).on("line", (line) => {
      this.lines.push(line);
      this.#notify();
    });
    this.exited = once(this.child, "close").then(([code]) => {
      this.#notify();
      return code as number | null;
    });
  }

  /** The first line, from now or before, that the predicate takes. Rejects when the command ends without one. */
  async line(predicate: (value: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (let next = 0; ;) {
      while (next < this.lines.length) {
        const line = this.lines[next++]!;
        if (!line.startsWith("{")) continue;
        const value = JSON.parse(line) as Record<string, unknown>;
        if (predicate(value)) return value;
      }
      if (this.child.exitCode !== null || this.child.signalCode !== null)
        throw new Error(`the command ended: ${this.stderr.slice(-2000)}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    await this.exited;
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

/** Runs a `fedlora` command to its end. */
export async function fedlora(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const command = new RunningCommand(args);
  const code = await command.exited;
  return { code, stdout: command.lines.join("\n"), stderr: command.stderr };
}
