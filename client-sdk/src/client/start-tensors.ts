import {
  clientControlName,
  controlledTensor,
  elementCount,
  FedLoraError,
  fromFloat32,
  shapesEqual,
  toFloat32,
  toStateDict,
  type PlanInstructions,
  type StateDict,
  type Tensor,
  type TensorRole,
} from "@fedlora/core";

export interface TensorSources {
  /** The round's download. */
  readonly global: StateDict;
  /** The plan's frozen blobs. */
  readonly frozen: readonly StateDict[];
  /** What this client trained in earlier rounds of the run. */
  readonly kept: StateDict;
}

/**
 * The value that training starts from, for every tensor of the plan, as F32: the download where the role says so,
 * otherwise the client's own, a frozen blob or, for a client that lost its own, the global value. A control variate of its
 * own that a client does not have yet is zero.
 * Throws `adapter-invalid` for a tensor that nobody holds or whose shape is another.
 */
export function assembleStart(instructions: PlanInstructions, sources: TensorSources): StateDict {
  return toStateDict(instructions.roles.map((role) => [role.spec.name, valueOf(role, sources)]));
}

function valueOf(role: TensorRole, { global, frozen, kept }: TensorSources): Tensor {
  const { name, shape } = role.spec;
  const holders = role.downloaded ? [global] : [...(role.keep === "none" ? [] : [kept]), ...frozen, global];
  const tensor = holders.find((holder) => holder.has(name))?.get(name);
  if (tensor === undefined && name === clientControlName(controlledTensor(name))) {
    return fromFloat32(new Float32Array(elementCount(shape)), shape);
  }
  if (tensor === undefined) {
    const where = role.downloaded ? "the plan's global adapter" : "the plan's blobs or this client's own state";
    throw new FedLoraError("adapter-invalid", `tensor "${name}" is not in ${where}`, { details: { tensor: name } });
  }
  if (!shapesEqual(tensor.shape, shape)) {
    throw new FedLoraError(
      "adapter-invalid",
      `tensor "${name}" has shape [${tensor.shape.join(", ")}], the plan says [${shape.join(", ")}]`,
      { details: { tensor: name } },
    );
  }
  return tensor.dtype === "F32" ? tensor : fromFloat32(toFloat32(tensor), shape);
}
