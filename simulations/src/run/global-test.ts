import type { LocalTrainer } from "@fedlora/client-sdk";
import {
  adapterLayout,
  evaluationMetrics,
  readSafetensors,
  resolveAdapter,
  type ModelManifest,
  type PlanInstructions,
  type RunSpec,
} from "@fedlora/core";
import type { BaseDelta } from "@fedlora/client-sdk";
import type { SimulationData } from "../data/simulation-data.js";
import { withPerplexity, type TestMetrics } from "../metrics/perplexity.js";
import { ClientData } from "../runtime/client-data.js";
import { localInstructions } from "./local-instructions.js";

/** Tests global adapters on rows that no client has; it takes no virtual time and nobody in the federation sees it. */
export class GlobalTest {
  readonly #trainer: LocalTrainer;
  readonly #instructions: PlanInstructions;
  readonly #data: ClientData;

  constructor(trainer: LocalTrainer, spec: RunSpec, manifest: ModelManifest, data: SimulationData, rows: Int32Array) {
    const layout = adapterLayout(resolveAdapter(spec.adapter, manifest, spec.task));
    this.#trainer = trainer;
    this.#data = new ClientData("test", data, { trainRows: new Int32Array(0), heldOutRows: rows });
    this.#instructions = localInstructions(spec, layout, () => false);
  }

  /** @param adapter safetensors of the whole global adapter */
  async measure(adapter: Uint8Array, baseDeltas: readonly BaseDelta[]): Promise<TestMetrics> {
    const { tensors } = readSafetensors(adapter);
    const request = { instructions: this.#instructions, start: tensors, data: this.#data, baseDeltas };
    const counts = await this.#trainer.evaluate(request, new AbortController().signal, () => undefined);
    const { task } = this.#instructions;
    return withPerplexity(task, evaluationMetrics(task, counts));
  }
}
