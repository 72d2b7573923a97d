import { FedLoraError } from "@fedlora/core";
import type { Clock, StateDict } from "@fedlora/core";
import type { ArtifactManifest, ArtifactRef } from "../artifact.js";
import type {
  ApplyRequest,
  EngineBackend,
  EngineName,
  HostTensor,
  SlotSpec,
  StepExecutor,
  StepRequest,
  TrainingEngine,
} from "../engine.js";
import { assembleFeeds } from "./feeds.js";
import { SessionCache } from "./session-cache.js";
import { Slot } from "./slot.js";

/** Open graphs share mapped weights but each keeps an arena of its activations. */
const MAX_OPEN_SESSIONS = 3;

/** What the engine asks of the platform it runs on; a browser's worker gives other answers than a process. */
export interface EngineHost {
  readonly clock: Clock;
  /** Bytes that can still be allocated without swapping. */
  freeBytes(): number;
  memory(): { readonly rssBytes: number; readonly peakRssBytes: number };
  /** Lets waiting messages in, so that a stop is seen between two steps. */
  turn(): Promise<void>;
}

export interface EngineCoreOptions {
  readonly name: EngineName;
  readonly fingerprint: string;
  readonly backend: Pick<EngineBackend, "open">;
  readonly threads: number;
  readonly prepack: boolean;
  readonly host: EngineHost;
  readonly profilePrefix?: string;
}

/** The engine itself, in the process that it runs in. Steps run one after the other, in the order of the calls. */
export class EngineCore implements TrainingEngine {
  readonly name: EngineName;
  readonly fingerprint: string;
  readonly #options: EngineCoreOptions;
  readonly #sessions = new SessionCache(MAX_OPEN_SESSIONS);
  readonly #slots = new Map<string, Slot>();
  #lastSlot = 0;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: EngineCoreOptions) {
    this.name = options.name;
    this.fingerprint = options.fingerprint;
    this.#options = options;
  }

  createSlot(spec: SlotSpec): Promise<string> {
    return this.#inTurn(() => {
      const slot = new Slot(spec);
      this.#lastSlot += 1;
      const id = `slot-${this.#lastSlot}`;
      this.#slots.set(id, slot);
      return id;
    });
  }

  readSlot(slot: string): Promise<StateDict> {
    return this.#inTurn(() => this.#slot(slot).read());
  }

  writeSlot(slot: string, tensors: StateDict): Promise<void> {
    return this.#inTurn(() => this.#slot(slot).write(tensors));
  }

  readOptimizer(slot: string): Promise<StateDict> {
    return this.#inTurn(() => this.#slot(slot).optimizer.read());
  }

  writeOptimizer(slot: string, state: StateDict): Promise<void> {
    return this.#inTurn(() => this.#slot(slot).optimizer.write(state));
  }

  releaseSlot(slot: string): Promise<void> {
    return this.#inTurn(() => {
      this.#slots.delete(slot);
    });
  }

  accumulate(request: StepRequest, signal?: AbortSignal): Promise<{ readonly loss: number; readonly stepMs: number }> {
    return this.#inTurn(async () => {
      const { clock } = this.#options.host;
      const slot = this.#slot(request.slot);
      const { manifest } = request.artifact;
      const feeds = assembleFeeds(manifest, slot, request.inputs);
      const fetches = trainFetches(manifest, slot);
      const executor = await this.#executor(request);
      await this.#stopPoint(signal);
      const start = clock.monotonicMs();
      const results = await executor.run(feeds, [fetches.loss, ...fetches.gradients.keys()]);
      const gradients = new Map<string, HostTensor>();
      for (const [output, tensor] of fetches.gradients) {
        const result = results.get(output);
        if (result !== undefined) gradients.set(tensor, result);
      }
      slot.addGradients(gradients, request.exampleClipping);
      return { loss: results.get(fetches.loss)?.data[0] ?? Number.NaN, stepMs: clock.monotonicMs() - start };
    });
  }

  takeGradients(slot: string): Promise<StateDict> {
    return this.#inTurn(() => this.#slot(slot).takeGradients());
  }

  apply(request: ApplyRequest): Promise<{ readonly gradNorm: number }> {
    return this.#inTurn(() => ({ gradNorm: this.#slot(request.slot).apply(request) }));
  }

  infer(
    request: StepRequest & { readonly outputs: readonly string[] },
    signal?: AbortSignal,
  ): Promise<Readonly<Record<string, HostTensor>>> {
    return this.#inTurn(async () => {
      const { manifest } = request.artifact;
      const feeds = assembleFeeds(manifest, this.#slot(request.slot), request.inputs);
      for (const name of request.outputs) {
        if (!manifest.outputs.some((output) => output.name === name)) {
          throw new FedLoraError("request-invalid", `the graph has no output "${name}"`);
        }
      }
      const executor = await this.#executor(request);
      await this.#stopPoint(signal);
      const results = await executor.run(feeds, request.outputs);
      // The executor writes its next results into the same arrays.
      return Object.fromEntries([...results].map(([name, host]) => [name, { ...host, data: host.data.slice() }]));
    });
  }

  memory(): Promise<{ readonly rssBytes: number; readonly peakRssBytes: number }> {
    return this.#inTurn(() => this.#options.host.memory());
  }

  /** Waits for the step that runs and closes all sessions; `hard` makes no difference inside the process. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      this.#slots.clear();
      await this.#sessions.clear();
    });
  }

  #slot(id: string): Slot {
    const slot = this.#slots.get(id);
    if (slot === undefined) throw new FedLoraError("request-invalid", `slot "${id}" does not exist or was released`);
    return slot;
  }

  #executor({ artifact, weightsFile }: StepRequest): Promise<StepExecutor> {
    const { name: engine, backend, threads, prepack, profilePrefix } = this.#options;
    const key = `${artifact.manifest.key} ${artifact.manifest.graphFile} ${weightsFile}`;
    return this.#sessions.get(key, () => {
      this.#refuseOversized(artifact);
      const profile = profilePrefix === undefined ? {} : { profilePrefix };
      return backend.open({ artifact, weightsFile, engine, threads, prepack, ...profile });
    });
  }

  #refuseOversized({ manifest }: ArtifactRef): void {
    const free = this.#options.host.freeBytes();
    if (manifest.activationBytes <= free) return;
    const { batch, length } = manifest.request;
    throw new FedLoraError(
      "engine-memory",
      `a batch of ${batch} x ${length} tokens needs about ${megabytes(manifest.activationBytes)} MB for activations, ` +
        `${megabytes(free)} MB are free`,
      { details: { neededBytes: String(manifest.activationBytes), freeBytes: String(free) } },
    );
  }

  async #stopPoint(signal: AbortSignal | undefined): Promise<void> {
    await this.#options.host.turn();
    if (signal?.aborted === true) throw new FedLoraError("cancelled", "the step was cancelled before it began");
  }

  #inTurn<Result>(work: () => Result | Promise<Result>): Promise<Result> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

/** The loss and the gradients of what the slot trains, as output name -> adapter tensor. */
function trainFetches(
  manifest: ArtifactManifest,
  slot: Slot,
): { readonly loss: string; readonly gradients: ReadonlyMap<string, string> } {
  const loss = manifest.outputs.find((output) => output.role === "loss")?.name;
  if (loss === undefined || !manifest.outputs.some(({ role }) => role === "gradient")) {
    throw new FedLoraError("artifact-invalid", `a ${manifest.request.purpose} graph cannot train`);
  }
  const wanted = new Set(slot.trainedNames);
  const gradients = new Map<string, string>();
  for (const output of manifest.outputs) {
    if (output.role === "gradient" && output.tensor !== undefined && wanted.has(output.tensor)) {
      gradients.set(output.name, output.tensor);
    }
  }
  return { loss, gradients };
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
