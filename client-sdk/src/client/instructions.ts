import {
  codecFamilies,
  codecOf,
  elementCount,
  FedLoraError,
  itemSize,
  layoutsEqual,
  type PlanInstructions,
  type UpdateCodec,
} from "@fedlora/core";

/**
 * Throws `directive-unknown` where the update that is asked for has a form or codec that this build cannot make, or the
 * download has such a codec.
 */
export function assertSupported(instructions: PlanInstructions): void {
  const { updateForm, codec: name, downloadCodec, roles, uploadLayout } = instructions;
  if (updateForm !== "delta" && updateForm !== "value" && updateForm !== "sketch") {
    throw new FedLoraError("directive-unknown", `update form "${updateForm}" is not one of delta, value, sketch`);
  }
  const uploaded = roles.filter((role) => role.uploaded).map(({ spec }) => spec);
  if (downloadCodec !== undefined) knownCodec(downloadCodec);
  if (!layoutsEqual(knownCodec(name).encodedLayout(uploaded), uploadLayout)) {
    throw new FedLoraError("request-invalid", "the plan's upload layout is not that of its roles and codec");
  }
}

function knownCodec(name: string): UpdateCodec {
  try {
    return codecOf(name);
  } catch (cause) {
    const known = [...codecFamilies.keys()].join(", ");
    throw new FedLoraError("directive-unknown", `codec "${name}" is not one of ${known}, which this client knows`, {
      cause,
    });
  }
}

/** Bytes of the tensors that the plan asks for, without the file's header. */
export function uploadTensorBytes({ uploadLayout }: PlanInstructions): number {
  return uploadLayout.reduce((bytes, { dtype, shape }) => bytes + elementCount(shape) * itemSize[dtype], 0);
}
