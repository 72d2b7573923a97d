import { fork, type ChildProcess } from "node:child_process";

export type ServerRequest =
  | { readonly kind: "durable"; readonly folder: string; readonly rows: number; readonly download: boolean }
  | { readonly kind: "sink"; readonly rows: number }
  | { readonly kind: "peak" };

/** A process of this benchmark that answers one message at a time. */
export class BenchProcess {
  readonly #child: ChildProcess;

  /** `module` is a file beside this one, without its ending. */
  constructor(module: string) {
    this.#child = fork(new URL(`./${module}.js`, import.meta.url), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  }

  ask<T>(request: object): Promise<T> {
    return new Promise((resolve, reject) => {
      const exited = (code: number | null): void => reject(new Error(`the process ended with ${String(code)}`));
      this.#child.once("exit", exited);
      this.#child.once("message", (value) => {
        this.#child.off("exit", exited);
        resolve(value as T);
      });
      this.#child.send(request);
    });
  }

  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await gone;
  }
}
