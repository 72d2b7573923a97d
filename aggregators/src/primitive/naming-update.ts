import { FedLoraError } from "@fedlora/core";
import type { UpdateView } from "../method.js";

/** Runs what reads a tensor of an update; an error names both, in its message and in `details`. */
export function namingUpdate<Result>({ id }: UpdateView, tensor: string, read: () => Result): Result {
  try {
    return read();
  } catch (thrown) {
    const error = FedLoraError.from(thrown);
    throw new FedLoraError(error.code, `update "${id}", tensor "${tensor}": ${error.message}`, {
      details: { ...error.details, updateId: id, tensor },
      cause: error,
    });
  }
}
