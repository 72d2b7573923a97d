import { deriveKey, type RandomKey, RandomStream } from "@fedlora/core";
import type { ArtifactInput, ArtifactManifest } from "../engine/artifact.js";

/** Between two pieces the event loop may turn: about 1 ms of drawing. */
const pieceLength = 16_384;

/**
 * The dropout masks of one micro-batch, by input name: each value is 0 with the given probability and 1 / (1 - p)
 * otherwise, so that the expectation stays.
 *
 * @param streamOf the random words of a module's mask
 * @param dropoutProb in [0, 1)
 */
export async function drawDropoutMasks(
  manifest: Pick<ArtifactManifest, "inputs">,
  streamOf: (module: string) => { uint32(): number },
  dropoutProb: number,
  turn: () => Promise<void>,
): Promise<ReadonlyMap<string, Float32Array>> {
  const masks = new Map<string, Float32Array>();
  const kept = 1 / (1 - dropoutProb);
  const threshold = dropoutProb * 2 ** 32;
  for (const input of manifest.inputs.filter(({ role }) => role === "dropout-mask")) {
    const stream = streamOf(input.tensor ?? input.name);
    const mask = new Float32Array(sizeOf(input));
    for (let start = 0; start < mask.length; start += pieceLength) {
      const end = Math.min(mask.length, start + pieceLength);
      for (let index = start; index < end; index++) mask[index] = stream.uint32() < threshold ? 0 : kept;
      await turn();
    }
    masks.set(input.name, mask);
  }
  return masks;
}

/** A stream of its own for each module, derived from the key and the module's name. */
export function streamPerModule(key: RandomKey): (module: string) => RandomStream {
  return (module) => new RandomStream(deriveKey(key, module));
}

const sizeOf = ({ shape }: ArtifactInput): number => shape.reduce((product, dimension) => product * dimension, 1);
