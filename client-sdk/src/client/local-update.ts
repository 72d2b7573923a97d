import {
  codecOf,
  FedLoraError,
  firstNonFinite,
  shapesEqual,
  toFloat32,
  type PlanInstructions,
  type StateDict,
  type TensorSpec,
} from "@fedlora/core";

/**
 * The tensors that go to the coordinator: for every tensor whose role says `uploaded` the trained values or the sketches,
 * or for deltas their difference to `start` taken in float32, in the plan's codec.
 *
 * Everything that was trained is checked, so that nothing broken is sent or kept: throws `update-tensor-missing`,
 * `update-shape` and `update-not-finite` (also for what the codec cannot hold), naming the tensor.
 */
export function computeUpdate(instructions: PlanInstructions, start: StateDict, trained: StateDict): StateDict {
  for (const [name, tensor] of trained) {
    const index = firstNonFinite(tensor);
    if (index < 0) continue;
    const message = `training left a value that is not finite in "${name}" at index ${index}`;
    throw new FedLoraError("update-not-finite", message, { details: { tensor: name, index: String(index) } });
  }
  const uploaded = instructions.roles.filter((role) => role.uploaded).map(({ spec }) => spec);
  const byName = new Map(uploaded.map((spec) => [spec.name, spec]));
  return codecOf(instructions.codec).encode(uploaded, (name) => {
    const spec = byName.get(name);
    if (spec === undefined) throw new FedLoraError("internal", `the codec asked for "${name}"`);
    const values = valuesOf(trained, spec, "training");
    if (instructions.updateForm !== "delta") return values;
    return subtract(values, valuesOf(start, spec, "the start of the round"));
  });
}

function valuesOf(state: StateDict, { name, shape }: TensorSpec, where: string): Float32Array {
  const tensor = state.get(name);
  if (tensor === undefined) {
    const message = `"${name}" is to be uploaded, but ${where} did not give it`;
    throw new FedLoraError("update-tensor-missing", message, { details: { tensor: name } });
  }
  if (!shapesEqual(tensor.shape, shape)) {
    const message = `"${name}" of ${where} has shape [${tensor.shape.join(", ")}], the plan asks for [${shape.join(", ")}]`;
    throw new FedLoraError("update-shape", message, { details: { tensor: name } });
  }
  return toFloat32(tensor);
}

function subtract(a: Float32Array, b: Float32Array): Float32Array {
  const result = new Float32Array(a.length);
  for (let i = 0; i < result.length; i += 1) result[i] = (a[i] ?? 0) - (b[i] ?? 0);
  return result;
}
