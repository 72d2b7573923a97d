import { createGrpcTransport, type Transport } from "@fedlora/client-sdk";
import {
  adapterLayout,
  compileRunSpec,
  elementCount,
  fromFloat32,
  resolveAdapter,
  type BaseModelHash,
  type ModelManifest,
  type RunId,
  type RunSpec,
  type RunSpecInput,
  type StateDict,
  type TensorLayout,
} from "@fedlora/core";
import { createCoordinator, type Coordinator } from "@fedlora/coordinator";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One wide module, so that an update has five chunks: there is a middle to break things in. */
export const manifest: ModelManifest = {
  format: "fedlora-model/1",
  family: "bert",
  name: "wide",
  hash: "ab".repeat(32) as BaseModelHash,
  numLayers: 1,
  numParameters: 512 * 512,
  modules: [{ name: "bert.encoder.layer.0.attention.self.query", kind: "linear", dIn: 512, dOut: 512, layer: 0 }],
  heads: [{ name: "classifier", kind: "linear", dIn: 512, dOut: null }],
  tensors: [],
};

export const wideSpec = (changes: Partial<RunSpecInput> = {}): RunSpec =>
  compileRunSpec({
    name: "wide",
    model: { hash: manifest.hash },
    task: { kind: "sequence-classification", labels: ["ham", "spam"] },
    adapter: { rank: 256, targetModules: ["query"] },
    rounds: 1,
    cohort: { size: 3, quorum: 2 },
    deadlines: { silenceMs: 60_000 },
    evaluation: { every: 0 },
    ...changes,
  });

/** What an update of a run of `wideSpec` holds. */
export const wideLayout: TensorLayout = adapterLayout(resolveAdapter(wideSpec().adapter, manifest, wideSpec().task));

export const filled = (layout: TensorLayout, value: number): StateDict =>
  new Map(
    layout.map(({ name, shape }) => [name, fromFloat32(new Float32Array(elementCount(shape)).fill(value), shape)]),
  );

/** A coordinator as it is served, in this process: files, journal, gRPC on a free port; one run of `wideSpec`. */
export class RealCoordinator {
  readonly #folder: string;
  #coordinator: Coordinator;
  readonly address: string;
  runId = "" as RunId;

  private constructor(folder: string, coordinator: Coordinator) {
    this.#folder = folder;
    this.#coordinator = coordinator;
    this.address = coordinator.address;
  }

  static async start(changes: Partial<RunSpecInput> = {}): Promise<RealCoordinator> {
    const folder = await mkdtemp(join(tmpdir(), "fedlora-bad-input-"));
    const coordinator = new RealCoordinator(folder, await serve(folder, "127.0.0.1:0"));
    const { admin } = coordinator.service;
    await admin.registerModel(manifest);
    coordinator.runId = (await admin.createRun("key", wideSpec(changes))).summary.runId;
    return coordinator;
  }

  get service(): Coordinator["service"] {
    return this.#coordinator.service;
  }

  connect(): Transport {
    return createGrpcTransport(this.address);
  }

  /** On the same files and port; nothing is drained. */
  async restart(): Promise<void> {
    await this.#coordinator.close();
    this.#coordinator = await serve(this.#folder, this.address);
  }

  /** A folder for a client's state, removed with the coordinator's. */
  stateFolder(name: string): string {
    return join(this.#folder, "states", name);
  }

  async close(): Promise<void> {
    await this.#coordinator.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

const serve = (folder: string, listen: string): Promise<Coordinator> =>
  createCoordinator(
    { listen, http: "off", storage: join(folder, "storage"), pollWaitMs: 1000 },
    { tuning: { settleMs: 0, retryMs: 50, graceMs: 0 } },
  );
