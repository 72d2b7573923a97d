import { FedLoraError } from "../errors.js";

/** The error for a value that a codec cannot hold. */
export function unheld(codec: string, tensor: string, values: Float32Array, index: number): FedLoraError {
  const message = `tensor "${tensor}" holds ${values[index] ?? NaN} at index ${index}, which ${codec} cannot hold`;
  return new FedLoraError("update-not-finite", message, { details: { tensor, index: String(index) } });
}
