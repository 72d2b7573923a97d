import { FedLoraError } from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import type { WeightPlace, WeightPlaces } from "./artifact.js";

/**
 * Reads where a canonical weights file keeps its tensors.
 *
 * @throws FedLoraError `file-missing`, `safetensors-invalid`; `artifact-invalid` where a tensor is not F32
 */
export function readWeightPlaces(weightsFile: string): WeightPlaces {
  const file = new SafetensorsFile(weightsFile);
  try {
    const places = new Map<string, WeightPlace>();
    for (const [name, { dtype, shape, offset, byteLength }] of file.header.tensors) {
      if (dtype !== "F32") {
        throw new FedLoraError("artifact-invalid", `"${weightsFile}" holds "${name}" as ${dtype}; graphs read F32`);
      }
      places.set(name, { dtype, shape, offset, length: byteLength });
    }
    return places;
  } finally {
    file.close();
  }
}
