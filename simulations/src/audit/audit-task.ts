import { compileMethod } from "@fedlora/aggregators";
import { privatizeUpdate, seededSecrets } from "@fedlora/client-sdk";
import type { Example, LocalTrainer } from "@fedlora/client-sdk";
import { adapterLayout, codecOf, fromFloat32, initialAdapter, resolveAdapter, toFloat32 } from "@fedlora/core";
import type {
  ClientId,
  ModelManifest,
  PlanInstructions,
  PlanPrivacy,
  PrivacyEvent,
  RunSpec,
  StateDict,
  TensorLayout,
  TrainingSpec,
} from "@fedlora/core";

/** What one simulated client sends, and what its examples paid for it. */
export interface AuditedUpload {
  /** Differences to the start of the round, F32, by the names of the tensors that travel. */
  readonly update: StateDict;
  readonly events: readonly PrivacyEvent[];
}

/** One round of a run as a client carries it out and as its upload is seen: the real trainer, clipping and noise. */
export interface AuditTask {
  readonly uploaded: TensorLayout;
  /** The adapter that the round starts from, which everybody knows. */
  readonly start: StateDict;
  /** @param stream name of the client's random streams: another name, another order of the examples and other noise */
  upload(
    examples: readonly Example[],
    privacy: PlanPrivacy | undefined,
    stream: string,
    signal: AbortSignal,
  ): Promise<AuditedUpload>;
  /** One example's gradient at the start of the round, negated, over the tensors that travel: what a step adds. */
  direction(example: Example, signal: AbortSignal): Promise<StateDict>;
}

/** One step of size 1 on one example, and nothing else, tells its gradient. */
const gradientStep: Partial<TrainingSpec> = {
  localSteps: 1,
  localEpochs: undefined,
  batchSize: 1,
  gradientAccumulation: 1,
  maxGradNorm: null,
};

export function createAuditTask(
  trainer: LocalTrainer,
  spec: RunSpec,
  manifest: ModelManifest,
  seed: number,
): AuditTask {
  const adapter = resolveAdapter(spec.adapter, manifest, spec.task);
  const scalings = Object.fromEntries(adapter.modules.map((module) => [module.name, module.scaling]));
  const method = compileMethod({ spec, adapterLayout: adapterLayout(adapter), scalings });
  const state = method.initialState();
  const client = { clientId: "audited" as ClientId, maxRank: undefined, ranks: undefined, directives: [], codecs: [] };
  const { roles } = method.prepare(method.phase(state, 1), state, client);
  const uploaded = roles.filter((role) => role.uploaded).map((role) => role.spec);
  const start = initialAdapter(adapter, spec.training.seed);
  const secrets = seededSecrets(seed);

  const train = async (
    examples: readonly Example[],
    training: TrainingSpec,
    privacy: PlanPrivacy | undefined,
    stream: string,
    signal: AbortSignal,
  ): Promise<AuditedUpload> => {
    const instructions: PlanInstructions = {
      format: "fedlora-instructions/1",
      task: spec.task,
      adapter: spec.adapter,
      training,
      roles,
      updateForm: "delta",
      uploadLayout: codecOf("f32").encodedLayout(uploaded),
      codec: "f32",
      directives: [],
      keepOptimizerState: false,
      seed,
      ...(privacy && { privacy }),
    };
    const data = { name: "audit", train: () => examples };
    const request = { instructions, start, data, round: 1, streamKey: stream, optimizerState: undefined, secrets };
    const { trained, privacy: paid } = await trainer.train(request, signal, () => undefined);
    const values = uploaded.map(({ name }) => difference(trained, start, name));
    if (privacy !== undefined) privatizeUpdate(values, privacy, () => secrets.next());
    const update = new Map(
      uploaded.map(({ name, shape }, index) => [name, fromFloat32(values[index] ?? new Float32Array(0), shape)]),
    );
    return { update, events: paid?.events ?? eventsOf(privacy) };
  };

  return {
    uploaded,
    start,
    upload: (examples, privacy, stream, signal) => train(examples, spec.training, privacy, stream, signal),
    async direction(example, signal) {
      const optimizer = {
        ...spec.training.optimizer,
        kind: "sgd",
        momentum: 0,
        learningRate: 1,
        weightDecay: 0,
      } as const;
      const plain = { ...optimizer, headLearningRate: undefined, loraPlusRatio: 1 };
      const constant = { kind: "constant", warmupSteps: 0 } as const;
      const training = { ...spec.training, ...gradientStep, optimizer: plain, schedule: constant };
      return (await train([example], training, undefined, "direction", signal)).update;
    },
  };
}

/** Of noise on the whole update, as the coordinator sees it. */
function eventsOf(privacy: PlanPrivacy | undefined): readonly PrivacyEvent[] {
  // The noise of mode `client` comes after the coordinator's look.
  if (privacy?.mode !== "local") return [{ mechanism: { kind: "unbounded", reason: "no noise" }, count: 1 }];
  return [{ mechanism: { kind: "gaussian", noiseMultiplier: privacy.noiseMultiplier }, count: 1 }];
}

function difference(trained: StateDict, start: StateDict, name: string): Float32Array {
  const [after, before] = [trained.get(name), start.get(name)];
  if (after === undefined || before === undefined) return new Float32Array(0);
  const from = toFloat32(before);
  return toFloat32(after).map((value, index) => value - (from[index] ?? 0));
}
