import { compileMethod, initialisePhase, planInstructions, runPasses } from "@fedlora/aggregators";
import type { UpdateView } from "@fedlora/aggregators";
import type { BaseModel, DataSource, LocalTrainer, TrainingProgress } from "@fedlora/client-sdk";
import {
  adapterLayout,
  FedLoraError,
  initialAdapter,
  resolveAdapter,
  supportedDirectives,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import type { AdapterSpec, ClientId, RunSpec, StateDict } from "@fedlora/core";

export type GradientInit = Extract<AdapterSpec["init"], { kind: "gradient" }>;

export interface GradientAdapter {
  readonly tensors: StateDict;
  /** As of a round of the initialisation: `sketchError`, `leftOut`, `gradientNorm` and others. */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * LoRA-SB's start from data that lies on this machine, such as a public data set: what a client would sketch and a
 * coordinator would make of it, with nothing sent.
 *
 * @throws FedLoraError `spec-invalid` for a run whose adapters are not latent; what training and aggregation throw
 */
export async function gradientAdapter(
  work: {
    readonly baseModel: BaseModel;
    readonly trainer: LocalTrainer;
    readonly spec: RunSpec;
    readonly init: GradientInit;
    readonly data: DataSource;
  },
  signal: AbortSignal,
  onProgress: (progress: TrainingProgress) => void,
): Promise<GradientAdapter> {
  const { baseModel, trainer, init, data } = work;
  if (work.spec.adapter.variant !== "latent") {
    throw new FedLoraError(
      "spec-invalid",
      `the gradient starts latent adapters; adapter.variant is ${work.spec.adapter.variant}`,
    );
  }
  const spec: RunSpec = { ...work.spec, adapter: { ...work.spec.adapter, init } };
  const resolved = resolveAdapter(spec.adapter, baseModel.manifest, spec.task);
  const scalings = Object.fromEntries(resolved.modules.map(({ name, scaling }) => [name, scaling]));
  const method = compileMethod({ spec, adapterLayout: adapterLayout(resolved), scalings });
  const state = method.initialState();
  const global = initialAdapter(resolved, spec.training.seed);
  const instruction = method.prepare(initialisePhase, state, thisMachine);
  const start = toStateDict([...global, ...method.projectFor(instruction, global, state)]);
  const instructions = planInstructions(spec, method, instruction);
  const names = new Set(instruction.roles.map((role) => role.spec.name));
  const { trained, metrics } = await trainer.train(
    {
      instructions,
      start: toStateDict([...start].filter(([name]) => names.has(name))),
      data,
      round: 1,
      streamKey: "initialisation",
      optimizerState: undefined,
    },
    signal,
    onProgress,
  );
  const aggregation = method.aggregate({
    round: 1,
    phase: initialisePhase,
    state,
    global,
    baseVersion: 0,
    sink: noSink,
  });
  const result = runPasses(aggregation, (visit) => visit(viewOf(trained, metrics.numExamples)));
  if (result.kind === "refused") throw new FedLoraError(result.code, result.message);
  return { tensors: result.global, metrics: result.metrics };
}

const thisMachine = {
  clientId: "this-machine" as ClientId,
  maxRank: undefined,
  ranks: undefined,
  directives: supportedDirectives,
  codecs: ["f32"],
};

const noSink = {
  open: () => undefined,
  write: () => undefined,
};

function viewOf(tensors: StateDict, numExamples: number): UpdateView {
  return {
    ...{ id: "this-machine", clientId: thisMachine.clientId, weight: 1, numExamples, numSteps: 1, staleness: 0 },
    receivedLoss: undefined,
    shape: (name) => tensors.get(name)?.shape,
    tensor: (name) => {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw new FedLoraError("update-tensor-missing", `the sketch has no "${name}"`);
      return toFloat32(tensor);
    },
  };
}
