import {
  type AdapterSpec,
  FedLoraError,
  headKeys,
  type ModelManifest,
  resolveAdapter,
  type ResolvedModule,
  shapesEqual,
  type TaskSpec,
  type TensorKind,
  type TensorRole,
} from "@fedlora/core";
import { type AdapterForm, type AdapterKind, formGradients, formTensors } from "../engine/adapter-form.js";
import type { AdaptedModule } from "../engine/artifact.js";

/** What an engine must know of the adapter's tensors: which modules they change, and how. */
export interface AdapterPlan {
  /** Modules with an adapter, in the order of the model's manifest. */
  readonly adapted: readonly AdaptedModule[];
  /** The run's rank of each adapted module, which this client's own may be below. */
  readonly fullRanks: Readonly<Record<string, number>>;
  /** Heads held in full, by canonical name. */
  readonly modulesToSave: readonly string[];
  /** Per adapted module, the run's alpha / rank (or / sqrt(rank)), whatever rank this client holds: a prefix of a factor means the same for all. */
  readonly scalings: Readonly<Record<string, number>>;
  /** Names of the trained tensors, by what they are: their learning rates differ. */
  readonly trained: ReadonlyMap<string, TensorKind>;
}

/**
 * Reads the adapter's structure from the tensors that there are. A module's rank is that of its tensors, so that a
 * client may hold fewer ranks or modules than the spec names. Its form is that of its tensors, too: of a latent run, a
 * plan whose roles hold A and B alone (a sketch) is one of plain LoRA.
 *
 * @throws FedLoraError `adapter-invalid` for a tensor that belongs to no module of the spec, has a wrong shape, or lacks
 *   its partner; `target-modules-unmatched`, `spec-invalid` from the spec itself
 */
export function planAdapter(
  spec: AdapterSpec,
  task: TaskSpec,
  manifest: Pick<ModelManifest, "modules" | "heads">,
  roles: readonly Pick<TensorRole, "spec" | "trained">[],
): AdapterPlan {
  const resolved = resolveAdapter(spec, manifest, task);
  const left = new Map(roles.map((role) => [role.spec.name, role]));
  const trained = new Map<string, TensorKind>();
  const take = (name: string, kind: TensorKind): TensorRole["spec"] | undefined => {
    const role = left.get(name);
    left.delete(name);
    if (role?.trained === true) trained.set(name, kind);
    return role?.spec;
  };

  const adapted: AdaptedModule[] = [];
  const scalings: Record<string, number> = {};
  const fullRanks: Record<string, number> = {};
  for (const module of resolved.modules) {
    const form = formIn(module, resolved.variant, left);
    const [first] = formTensors(module, form, 0);
    const rank = left.get(first?.name ?? "")?.spec.shape[0] ?? 0;
    const tensors = formTensors(module, form, rank);
    const specs = tensors.map(({ name, kind }) => take(name, kind));
    if (specs.every((spec) => spec === undefined)) continue;
    tensors.forEach(({ name, shape }, i) => {
      const spec = specs[i];
      if (spec === undefined) throw invalid(name, "is missing");
      assertShape(spec, shape);
    });
    const kinds = tensors.flatMap(({ name, kind }) => (trained.has(name) ? [kind] : []));
    adapted.push(adaptedModule(module.name, rank, form, kinds));
    scalings[module.name] = module.scaling;
    fullRanks[module.name] = module.rank;
  }
  const modulesToSave: string[] = [];
  for (const { name, dIn, dOut, bias } of resolved.heads) {
    const keys = headKeys(name);
    const weight = take(keys.weight, "head");
    const biasSpec = bias ? take(keys.bias, "head") : undefined;
    if (weight === undefined || (bias && biasSpec === undefined)) {
      throw invalid(weight === undefined ? keys.weight : keys.bias, "is missing");
    }
    assertShape(weight, [dOut, dIn]);
    if (biasSpec !== undefined) assertShape(biasSpec, [dOut]);
    modulesToSave.push(name);
  }
  const [unexpected] = left.keys();
  if (unexpected !== undefined) throw invalid(unexpected, "belongs to no module that the adapter's spec names");
  return { adapted, fullRanks, modulesToSave, scalings, trained };
}

/** The run's form, or plain LoRA where none of what makes the form another is there. */
function formIn(module: ResolvedModule, variant: AdapterForm, held: ReadonlyMap<string, unknown>): AdapterForm {
  const ownTensors = formTensors(module, variant, 0).slice(2);
  return ownTensors.some(({ name }) => held.has(name)) ? variant : "lora";
}

/** Without what is the same as absent, so that equal graphs have equal keys. */
function adaptedModule(name: string, rank: number, form: AdapterForm, kinds: readonly AdapterKind[]): AdaptedModule {
  const isUsual = kinds.length === 0 || kinds.join() === formGradients[form].join();
  return {
    name,
    rank,
    trained: kinds.length > 0,
    ...(form !== "lora" && { form }),
    ...(!isUsual && { gradients: kinds }),
  };
}

function assertShape(spec: TensorRole["spec"], shape: readonly number[]): void {
  if (shape.some((size) => size < 1) || !shapesEqual(spec.shape, shape)) {
    throw invalid(spec.name, `has shape [${spec.shape.join(", ")}], the model asks for [${shape.join(", ")}]`);
  }
}

function invalid(tensor: string, problem: string): FedLoraError {
  return new FedLoraError("adapter-invalid", `adapter tensor "${tensor}" ${problem}`, { details: { tensor } });
}
