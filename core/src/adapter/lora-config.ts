import { FedLoraError } from "../errors.js";
import type { HeadModule, ModelManifest } from "../model/manifest.js";
import type { AdapterSpec, TaskSpec } from "../run-spec/schema.js";
import { canonicalLayout } from "../tensor/state-dict.js";
import type { TensorLayout, TensorSpec } from "../tensor/tensor.js";
import { suggestion } from "../text/nearest.js";
import { classifierHeadNames, matchModulePattern, matchTargetModules } from "./target-modules.js";

/** A linear module with its adapter: y = W x + scaling * B A x, A [rank, dIn], B [dOut, rank]. */
export interface ResolvedModule {
  readonly name: string;
  readonly layer: number | null;
  readonly dIn: number;
  readonly dOut: number;
  readonly rank: number;
  readonly alpha: number;
  /** alpha / rank, or alpha / sqrt(rank) with rank-stabilised scaling. */
  readonly scaling: number;
}

/** A head trained in full: weight [dOut, dIn], and bias [dOut] where it has one. */
export interface ResolvedHead {
  readonly name: string;
  readonly dIn: number;
  readonly dOut: number;
  readonly bias: boolean;
}

/** An adapter spec applied to a model and a task: nothing is left to be matched. */
export interface ResolvedAdapter {
  /** In the order of the model's manifest; at least one. */
  readonly modules: readonly ResolvedModule[];
  readonly heads: readonly ResolvedHead[];
  readonly dropout: number;
  readonly rslora: boolean;
  /** What is trained between W and the output, see `adapterKeys`. */
  readonly variant: AdapterSpec["variant"];
}

/**
 * Finds the modules that a spec adapts and the heads that it saves, with their ranks and scalings.
 *
 * Ranks and alphas come from `rankPattern` and `alphaPattern` by PEFT's rule (the first pattern that matches the name's
 * end), else from `rank` and `alpha` (default 2 x rank).
 *
 * @throws FedLoraError `target-modules-unmatched`, `spec-invalid`
 */
export function resolveAdapter(
  spec: AdapterSpec,
  manifest: Pick<ModelManifest, "modules" | "heads">,
  task: TaskSpec,
): ResolvedAdapter {
  const heads = resolveHeads(spec, manifest.heads, task);
  const saved = [...(spec.modulesToSave ?? []), ...heads.map(({ name }) => name)];
  const excluded = task.kind === "sequence-classification" ? [...saved, ...classifierHeadNames] : saved;
  const matched = matchTargetModules(manifest.modules, spec, excluded);
  const names = matched.map(({ name }) => name);
  assertPatternsUsed(spec.rankPattern, names, "adapter.rankPattern");
  assertPatternsUsed(spec.alphaPattern, names, "adapter.alphaPattern");

  const modules = matched.map(({ name, layer, dIn, dOut }) => {
    const rank = matchModulePattern(spec.rankPattern, name, "adapter.rankPattern") ?? spec.rank;
    const alpha = matchModulePattern(spec.alphaPattern, name, "adapter.alphaPattern") ?? spec.alpha ?? 2 * spec.rank;
    const scaling = alpha / (spec.rslora ? Math.sqrt(rank) : rank);
    return { name, layer, dIn, dOut, rank, alpha, scaling };
  });
  if (spec.variant === "latent") modules.forEach(assertOrthonormalFits);
  return { modules, heads, dropout: spec.dropout, rslora: spec.rslora, variant: spec.variant };
}

/** The frozen factors of a latent adapter are orthonormal, so none can have more rows than columns. */
function assertOrthonormalFits({ name, rank, dIn, dOut }: ResolvedModule): void {
  if (rank <= Math.min(dIn, dOut)) return;
  throw new FedLoraError(
    "spec-invalid",
    `adapter.rank ${rank} of "${name}" [${dOut}, ${dIn}] exceeds its smaller side, which a latent adapter cannot`,
    { details: { path: "adapter.rank", module: name } },
  );
}

/** Keys of a module's tensors in PEFT's `adapter_model.safetensors`. */
export const loraKeys = (module: string): { readonly a: string; readonly b: string } => ({
  a: `base_model.model.${module}.lora_A.weight`,
  b: `base_model.model.${module}.lora_B.weight`,
});
/**
 * Keys of every tensor that an adapter of any variant holds for a module. `lora`: W + s B A. `latent`: W + s B R A,
 * R [rank, rank]. `vera`: W + s diag(scaleOut) B diag(scaleRank) A, scaleRank [rank], scaleOut [dOut].
 */
export const adapterKeys = (
  module: string,
): {
  readonly a: string;
  readonly b: string;
  readonly r: string;
  readonly scaleRank: string;
  readonly scaleOut: string;
} => ({
  ...loraKeys(module),
  r: `base_model.model.${module}.lora_R.weight`,
  scaleRank: `base_model.model.${module}.vera_lambda_d`,
  scaleOut: `base_model.model.${module}.vera_lambda_b`,
});
/** Keys of a saved head's tensors. */
export const headKeys = (module: string): { readonly weight: string; readonly bias: string } => ({
  weight: `base_model.model.${module}.weight`,
  bias: `base_model.model.${module}.bias`,
});

/**
 * Keys of a change to a module's frozen weight W [dOut, dIn] in a base delta's safetensors file: the pair a [rho, dIn] and
 * b [dOut, rho] adds b a, the scaling folded in; `dense` [dOut, dIn] is added as it is.
 */
export const baseDeltaKeys = (module: string): { readonly a: string; readonly b: string; readonly dense: string } => ({
  a: `base_model.model.${module}.delta_A.weight`,
  b: `base_model.model.${module}.delta_B.weight`,
  dense: `base_model.model.${module}.delta.weight`,
});

/**
 * Every tensor of the adapter, F32, by PEFT's names (`lora_R`, which PEFT lacks, in their manner), in canonical order.
 * The variant is `lora` where none is given.
 */
export function adapterLayout({
  modules,
  heads,
  variant = "lora",
}: Pick<ResolvedAdapter, "modules" | "heads"> & Partial<Pick<ResolvedAdapter, "variant">>): TensorLayout {
  const spec = (name: string, ...shape: number[]): TensorSpec => ({ name, dtype: "F32", shape });
  return canonicalLayout([
    ...modules.flatMap(({ name, rank, dIn, dOut }) => {
      const keys = adapterKeys(name);
      return [
        spec(keys.a, rank, dIn),
        spec(keys.b, dOut, rank),
        ...(variant === "latent" ? [spec(keys.r, rank, rank)] : []),
        ...(variant === "vera" ? [spec(keys.scaleRank, rank), spec(keys.scaleOut, dOut)] : []),
      ];
    }),
    ...heads.flatMap(({ name, dIn, dOut, bias }) => [
      spec(headKeys(name).weight, dOut, dIn),
      ...(bias ? [spec(headKeys(name).bias, dOut)] : []),
    ]),
  ]);
}

function resolveHeads(spec: AdapterSpec, heads: readonly HeadModule[], task: TaskSpec): ResolvedHead[] {
  const wanted = spec.modulesToSave;
  const names = heads.map(({ name }) => name);
  for (const name of wanted ?? []) {
    if (!names.some((head) => head === name || head.endsWith(`.${name}`))) {
      throw new FedLoraError(
        "target-modules-unmatched",
        `adapter.modulesToSave: "${name}" is no head of the base model${suggestion(name, names)} Heads are ${names.join(", ") || "none"}.`,
        { details: { pattern: name } },
      );
    }
  }
  const isWanted = (head: string): boolean =>
    wanted === undefined
      ? task.kind === "sequence-classification"
      : wanted.some((name) => head === name || head.endsWith(`.${name}`));
  return heads
    .filter(({ name }) => isWanted(name))
    .map(({ name, dIn, dOut, bias }) => {
      const size = dOut ?? (task.kind === "sequence-classification" ? task.labels.length : undefined);
      if (size === undefined) {
        throw new FedLoraError("spec-invalid", `adapter.modulesToSave: head "${name}" needs a task with labels`);
      }
      return { name, dIn, dOut: size, bias: bias ?? true };
    });
}

function assertPatternsUsed(
  patterns: Readonly<Record<string, unknown>>,
  names: readonly string[],
  field: string,
): void {
  for (const key of Object.keys(patterns)) {
    if (!names.some((name) => matchModulePattern({ [key]: true }, name, field) === true)) {
      throw new FedLoraError("target-modules-unmatched", `${field}: "${key}" matches no adapted module`, {
        details: { pattern: key },
      });
    }
  }
}
