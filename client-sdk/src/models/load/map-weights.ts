import { compareNames, type DType, FedLoraError, shapesEqual, type TensorSpec } from "@fedlora/core";
import { basename } from "node:path";
import type { StoredTensor } from "./stored-tensors.js";

/** A stored tensor under the name that the family uses. */
export interface CanonicalTensor extends StoredTensor {
  readonly storedName: string;
}

const weightDtypes: ReadonlySet<DType> = new Set<DType>(["F32", "F16", "BF16"]);

/**
 * The weights that a family reads, by canonical name and in canonical order. Tensors that it does not use are left out.
 *
 * @param canonicalName a stored name as the canonical one, undefined for what is not used
 * @param expected names and shapes of the weights
 * @throws FedLoraError `file-invalid` naming the tensor that is missing or comes twice, `tensor-invalid` for a wrong
 *   shape, `model-unsupported` for a dtype that is not F32, F16 or BF16
 */
export function mapWeights(
  stored: readonly StoredTensor[],
  canonicalName: (storedName: string) => string | undefined,
  expected: readonly TensorSpec[],
  folder: string,
): readonly CanonicalTensor[] {
  const byName = new Map<string, CanonicalTensor>();
  for (const tensor of stored) {
    const name = canonicalName(tensor.name);
    if (name === undefined) continue;
    const other = byName.get(name);
    if (other !== undefined) {
      const message = `"${tensor.path}": "${tensor.name}" and "${other.storedName}" are both the weight "${name}"`;
      throw new FedLoraError("file-invalid", message, { details: { tensor: name } });
    }
    byName.set(name, { ...tensor, name, storedName: tensor.name });
  }
  const files = [...new Set(stored.map(({ path }) => basename(path)))].sort().join(", ");
  return [...expected]
    .sort((a, b) => compareNames(a.name, b.name))
    .map((spec) => {
      const tensor = byName.get(spec.name);
      if (tensor === undefined) {
        const message = `"${folder}" lacks the weight "${spec.name}" (looked in ${files})`;
        throw new FedLoraError("file-invalid", message, { details: { tensor: spec.name } });
      }
      assertUsable(tensor, spec);
      return tensor;
    });
}

function assertUsable(tensor: CanonicalTensor, spec: TensorSpec): void {
  const details = { tensor: spec.name, file: basename(tensor.path) };
  if (!shapesEqual(tensor.shape, spec.shape)) {
    throw new FedLoraError(
      "tensor-invalid",
      `"${tensor.storedName}" has shape [${tensor.shape.join(", ")}]; config.json asks for ` +
        `[${spec.shape.join(", ")}], in "${tensor.path}"`,
      { details },
    );
  }
  if (!weightDtypes.has(tensor.dtype)) {
    throw new FedLoraError(
      "model-unsupported",
      `"${tensor.storedName}" is ${tensor.dtype}; weights must be F32, F16 or BF16, in "${tensor.path}"`,
      { details },
    );
  }
}
