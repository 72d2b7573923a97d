import type { MethodRunState } from "@fedlora/aggregators";
import { FedLoraError, canonicalJson, readSafetensors, writeSafetensors } from "@fedlora/core";
import { z } from "zod";

const headSchema = z.strictObject({
  version: z.int(),
  values: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
});

/** A method's state as a safetensors file: its tensors, and version and values as JSON in the metadata `state`. */
export function encodeMethodState(state: MethodRunState): Uint8Array {
  const { version, values, tensors } = state;
  return writeSafetensors(tensors, { metadata: { state: canonicalJson({ version, values }) } });
}

/** Throws `safetensors-invalid` for a file that `encodeMethodState` did not write. */
export function decodeMethodState(bytes: Uint8Array): MethodRunState {
  const { tensors, metadata } = readSafetensors(bytes);
  const head = headSchema.safeParse(JSON.parse(metadata.get("state") ?? "null"));
  if (!head.success) throw new FedLoraError("safetensors-invalid", "the file holds no method state");
  return { ...head.data, tensors };
}
