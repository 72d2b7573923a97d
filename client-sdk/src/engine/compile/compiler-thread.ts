import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { FedLoraError } from "@fedlora/core";
import { startThread } from "@fedlora/core/node";
import type { ArtifactRef } from "../artifact.js";
import { fromWireError } from "../runtime/protocol.js";
import { artifactKey, findArtifact } from "./artifact-cache.js";
import type { CompileRequest } from "./compile-artifact.js";
import type { CompilerAnswer } from "./compiler-program.js";

export interface CompilerThreadOptions {
  /** How long the thread waits for another graph, in ms; default 5,000: TensorFlow.js holds some 50 MB meanwhile. */
  readonly idleMs?: number;
  readonly start?: () => Worker;
}

interface Waiting {
  readonly resolve: (artifact: ArtifactRef) => void;
  readonly reject: (error: FedLoraError) => void;
}

/**
 * Compiles graphs in a thread, one at a time, so that the application's event loop never waits for a trace. What is
 * compiled already, or asked for twice at once, costs no thread.
 */
export class CompilerThread {
  readonly #idleMs: number;
  readonly #start: () => Worker;
  /** By the artifact's folder. */
  readonly #compiling = new Map<string, Promise<ArtifactRef>>();
  #last: Promise<unknown> = Promise.resolve();
  #thread: Worker | undefined;
  #waiting: Waiting | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor({ idleMs = 5000, start = startCompiler }: CompilerThreadOptions = {}) {
    this.#idleMs = idleMs;
    this.#start = start;
  }

  /** See `compileArtifact`; throws also `engine-unavailable` or `engine-failed` where the thread does not run. */
  async compile(request: CompileRequest): Promise<ArtifactRef> {
    const key = artifactKey(request.request, request.weights);
    const folder = join(request.outputFolder, key);
    const known = this.#compiling.get(folder);
    if (known !== undefined) return known;
    const compiling = this.#findOrCompile(request, key).finally(() => this.#compiling.delete(folder));
    this.#compiling.set(folder, compiling);
    return compiling;
  }

  async #findOrCompile(request: CompileRequest, key: string): Promise<ArtifactRef> {
    const cached = await findArtifact(request.outputFolder, key);
    if (cached !== undefined) return cached;
    const compiled = this.#last.then(() => this.#ask(request));
    this.#last = compiled.catch(() => undefined);
    return compiled.catch((thrown: unknown) => {
      throw FedLoraError.from(thrown);
    });
  }

  async #ask(request: CompileRequest): Promise<ArtifactRef> {
    clearTimeout(this.#idleTimer);
    const thread = (this.#thread ??= this.#startThread());
    // An idle thread does not keep the process alive, a working one does.
    thread.ref();
    try {
      return await new Promise<ArtifactRef>((resolve, reject) => {
        this.#waiting = { resolve, reject };
        thread.postMessage(request);
      });
    } finally {
      this.#waiting = undefined;
      thread.unref();
      this.#idleTimer = setTimeout(() => this.#end(), this.#idleMs).unref();
    }
  }

  #startThread(): Worker {
    const thread = this.#start();
    thread.on("message", (answer: CompilerAnswer) => {
      if (answer.kind === "compiled") this.#waiting?.resolve(answer.artifact);
      else this.#waiting?.reject(fromWireError(answer.error));
    });
    const lost = (how: string, cause?: Error): void => {
      // One that was ended, or was told of by its error already, has no more to say.
      if (this.#thread !== thread) return;
      this.#thread = undefined;
      this.#waiting?.reject(new FedLoraError("engine-failed", `the compiler's thread ${how}`, { cause }));
    };
    thread.on("error", (error) => lost(`failed: ${error.message}`, error));
    thread.on("exit", (code) => lost(`ended with exit code ${code}`));
    return thread;
  }

  #end(): void {
    const thread = this.#thread;
    this.#thread = undefined;
    void thread?.terminate();
  }
}

function startCompiler(): Worker {
  return startThread(new URL("./compiler-program", import.meta.url));
}
