import {
  FedLoraError,
  firstNonFinite,
  fromFloat32,
  shapesEqual,
  toFloat32,
  toStateDict,
  type FloatDType,
  type PlanInstructions,
  type StateDict,
  type Tensor,
  type UpdateMetrics,
} from "@fedlora/core";

/**
 * The tensors that go to the coordinator: trained values, or their difference to `start`, of every tensor of the upload
 * layout, rounded to its dtype. Differences are taken in float32.
 *
 * Everything that was trained is checked, so that nothing broken is sent or kept: throws `update-tensor-missing`,
 * `update-shape` and `update-not-finite` (also where f16 overflows), naming the tensor.
 */
export function computeUpdate(instructions: PlanInstructions, start: StateDict, trained: StateDict): StateDict {
  for (const [name, tensor] of trained) assertFinite(name, tensor, "training left");
  return toStateDict(
    instructions.uploadLayout.map(({ name, dtype, shape }) => {
      const value = lookUp(trained, name, shape, "training");
      const values =
        instructions.updateForm === "value"
          ? toFloat32(value)
          : subtract(toFloat32(value), toFloat32(lookUp(start, name, shape, "the start of the round")));
      const tensor = fromFloat32(values, shape, dtype as FloatDType);
      assertFinite(name, tensor, `encoding as ${dtype} gave`);
      return [name, tensor];
    }),
  );
}

/** Throws `update-metrics`, or `update-not-finite` for a loss that is not a number. */
export function assertMetrics(metrics: UpdateMetrics): void {
  const { numExamples, numSteps, trainLoss, evaluation } = metrics;
  if (trainLoss !== undefined && !Number.isFinite(trainLoss)) {
    throw new FedLoraError("update-not-finite", `training ended with a loss of ${trainLoss}`);
  }
  if (!Number.isSafeInteger(numExamples) || numExamples < 1) {
    throw new FedLoraError("update-metrics", `number of examples ${numExamples} must be an integer of at least 1`);
  }
  if (!Number.isSafeInteger(numSteps) || numSteps < 0) {
    throw new FedLoraError("update-metrics", `number of steps ${numSteps} must be an integer of at least 0`);
  }
  if (evaluation === undefined) return;
  const { count, lossSum, confusion } = evaluation;
  if (!(count >= 0) || ![count, lossSum, ...confusion].every(Number.isFinite)) {
    throw new FedLoraError("update-metrics", "the evaluation's counts must be finite");
  }
}

function lookUp(state: StateDict, name: string, shape: readonly number[], where: string): Tensor {
  const tensor = state.get(name);
  if (tensor === undefined) {
    throw new FedLoraError("update-tensor-missing", `"${name}" is to be uploaded, but ${where} did not give it`, {
      details: { tensor: name },
    });
  }
  if (!shapesEqual(tensor.shape, shape)) {
    throw new FedLoraError(
      "update-shape",
      `"${name}" of ${where} has shape [${tensor.shape.join(", ")}], the plan asks for [${shape.join(", ")}]`,
      { details: { tensor: name } },
    );
  }
  return tensor;
}

function subtract(a: Float32Array, b: Float32Array): Float32Array {
  const result = new Float32Array(a.length);
  for (let i = 0; i < result.length; i += 1) result[i] = (a[i] ?? 0) - (b[i] ?? 0);
  return result;
}

function assertFinite(name: string, tensor: Tensor, what: string): void {
  const index = firstNonFinite(tensor);
  if (index < 0) return;
  throw new FedLoraError("update-not-finite", `${what} a value that is not finite in "${name}" at index ${index}`, {
    details: { tensor: name },
  });
}
