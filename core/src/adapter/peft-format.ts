import { FedLoraError } from "../errors.js";
import type { ModelManifest } from "../model/manifest.js";
import type { AdapterSpec, TaskSpec } from "../run-spec/schema.js";
import { firstLayoutDifference } from "../tensor/layout-difference.js";
import { readSafetensors, writeSafetensors } from "../tensor/safetensors.js";
import { toStateDict } from "../tensor/state-dict.js";
import type { StateDict } from "../tensor/tensor.js";
import { copyFloat32, firstNonFinite, fromFloat32 } from "../tensor/values.js";
import { adapterLayout, resolveAdapter } from "./lora-config.js";
import type { ResolvedAdapter } from "./lora-config.js";
import { fromPeftConfig, toPeftConfig } from "./peft-config.js";
import { plainLora } from "./plain-lora.js";

/** The two files that `PeftModel.from_pretrained` reads from a folder. */
export interface PeftFiles {
  /** `adapter_config.json` */
  readonly config: string;
  /** `adapter_model.safetensors` */
  readonly model: Uint8Array;
}

/** An adapter with its values. */
export interface LoraAdapter {
  readonly spec: AdapterSpec;
  readonly resolved: ResolvedAdapter;
  /** F32, exactly `adapterLayout(resolved)`. */
  readonly tensors: StateDict;
}

/**
 * An adapter as PEFT stores it; a latent or VeRA adapter as the plain LoRA that it amounts to.
 *
 * @param baseModel for `base_model_name_or_path`: where PEFT finds the base model
 * @throws FedLoraError `adapter-invalid` when the tensors are not those of the adapter
 */
export function toPeftFiles(adapter: LoraAdapter, task: TaskSpec, baseModel: string | null = null): PeftFiles {
  const { spec, resolved, tensors } = adapter;
  assertLayout(resolved, tensors, "the adapter");
  return {
    config: `${JSON.stringify(toPeftConfig(spec, resolved, task, baseModel), null, 2)}\n`,
    model: writeSafetensors(plainLora(tensors), { metadata: { format: "pt" } }),
  };
}

/**
 * An adapter from PEFT's files, for a model and a task; F16 and BF16 values are widened to F32.
 *
 * @throws FedLoraError `adapter-invalid` (a field that cannot be represented, a tensor too many, missing, of another
 *   shape, not finite), `safetensors-invalid`, `target-modules-unmatched`
 */
export function fromPeftFiles(
  files: PeftFiles,
  manifest: Pick<ModelManifest, "modules" | "heads">,
  task: TaskSpec,
): LoraAdapter {
  let json: unknown;
  try {
    json = JSON.parse(files.config);
  } catch (cause) {
    throw new FedLoraError("adapter-invalid", "adapter_config.json is not JSON", { cause });
  }
  const { spec } = fromPeftConfig(json, manifest, task);
  const resolved = resolveAdapter(spec, manifest, task);
  const tensors = toStateDict(
    [...readSafetensors(files.model).tensors].map(([name, tensor]) => {
      const isFloat = tensor.dtype === "F16" || tensor.dtype === "BF16" || tensor.dtype === "F32";
      return [name, isFloat ? fromFloat32(copyFloat32(tensor), tensor.shape) : tensor] as const;
    }),
  );
  assertLayout(resolved, tensors, "adapter_model.safetensors");
  for (const [name, tensor] of tensors) {
    const index = firstNonFinite(tensor);
    if (index !== -1) {
      throw new FedLoraError(
        "adapter-invalid",
        `adapter_model.safetensors: tensor "${name}" is not finite at ${index}`,
      );
    }
  }
  return { spec, resolved, tensors };
}

function assertLayout(resolved: ResolvedAdapter, tensors: StateDict, what: string): void {
  const difference = firstLayoutDifference(adapterLayout(resolved), tensors);
  if (difference === undefined) return;
  throw new FedLoraError("adapter-invalid", `${what}: ${difference.message}`, {
    details: { tensor: difference.tensor },
  });
}
