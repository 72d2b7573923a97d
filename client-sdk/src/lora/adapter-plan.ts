import {
  type AdapterSpec,
  FedLoraError,
  headKeys,
  loraKeys,
  type ModelManifest,
  resolveAdapter,
  shapesEqual,
  type TaskSpec,
  type TensorRole,
} from "@fedlora/core";
import type { AdaptedModule } from "../engine/artifact.js";

/** What an engine must know of the adapter's tensors: which modules they change, and how. */
export interface AdapterPlan {
  /** Modules with a LoRA pair, in the order of the model's manifest. */
  readonly adapted: readonly AdaptedModule[];
  /** Heads held in full, by canonical name. */
  readonly modulesToSave: readonly string[];
  /** Per adapted module, the run's alpha / rank (or / sqrt(rank)), whatever rank this client holds: a prefix of a factor means the same for all. */
  readonly scalings: Readonly<Record<string, number>>;
  /** Names of the trained tensors, by what they are: their learning rates differ. */
  readonly trained: ReadonlyMap<string, "lora-a" | "lora-b" | "head">;
}

/**
 * Reads the adapter's structure from the tensors that there are. A module's rank is that of its tensors, so that a
 * client may hold fewer ranks or modules than the spec names.
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
  const trained = new Map<string, "lora-a" | "lora-b" | "head">();
  const take = (name: string, kind: "lora-a" | "lora-b" | "head"): TensorRole["spec"] | undefined => {
    const role = left.get(name);
    left.delete(name);
    if (role?.trained === true) trained.set(name, kind);
    return role?.spec;
  };

  const adapted: AdaptedModule[] = [];
  const scalings: Record<string, number> = {};
  for (const { name, dIn, dOut, scaling } of resolved.modules) {
    const keys = loraKeys(name);
    const a = take(keys.a, "lora-a");
    const b = take(keys.b, "lora-b");
    if (a === undefined && b === undefined) continue;
    if (a === undefined || b === undefined) throw invalid(a === undefined ? keys.a : keys.b, "is missing");
    const rank = a.shape[0] ?? 0;
    assertShape(a, [rank, dIn]);
    assertShape(b, [dOut, rank]);
    adapted.push({ name, rank, trained: trained.has(keys.a) || trained.has(keys.b) });
    scalings[name] = scaling;
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
  return { adapted, modulesToSave, scalings, trained };
}

function assertShape(spec: TensorRole["spec"], shape: readonly number[]): void {
  if (shape.some((size) => size < 1) || !shapesEqual(spec.shape, shape)) {
    throw invalid(spec.name, `has shape [${spec.shape.join(", ")}], the model asks for [${shape.join(", ")}]`);
  }
}

function invalid(tensor: string, problem: string): FedLoraError {
  return new FedLoraError("adapter-invalid", `adapter tensor "${tensor}" ${problem}`, { details: { tensor } });
}
