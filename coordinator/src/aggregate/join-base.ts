import { compileMethod, joinBaseDeltas } from "@fedlora/aggregators";
import type { BaseDeltaReader } from "@fedlora/aggregators";
import { FedLoraError, toFloat32 } from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import type { AggregationJob, BaseJoin } from "./aggregation.js";
import { verifyBlob } from "./chunk-reader.js";
import { FileSink } from "./file-sink.js";

/**
 * Writes the sum of base deltas from their stored files, after a look at whether they still are what was stored.
 *
 * @returns whether all values are within float32
 * @throws FedLoraError `blob-not-found`, `blob-hash-mismatch`
 */
export function joinBase(job: AggregationJob, { deltas, path }: BaseJoin): boolean {
  for (const delta of deltas) verifyBlob(delta);
  const { factoredDeltas = false } = compileMethod(job);
  const sink = new FileSink(path);
  const files: SafetensorsFile[] = [];
  try {
    for (const delta of deltas) files.push(new SafetensorsFile(delta.path));
    const { adapterLayout } = job;
    return joinBaseDeltas(files.map(readerOf), { adapterLayout, sink, isFactored: factoredDeltas });
  } finally {
    for (const file of files) file.close();
    sink.close();
  }
}

function readerOf(file: SafetensorsFile): BaseDeltaReader {
  return {
    shape: (name) => file.header.tensors.get(name)?.shape,
    read(name, from, count) {
      const { dtype } = file.entry(name);
      if (dtype !== "F32") throw new FedLoraError("internal", `base delta: "${name}" is ${dtype}`);
      return toFloat32(file.readPart(name, from, count));
    },
  };
}
