import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import type { BlobFile } from "@fedlora/coordinator";
import {
  blobIdOf,
  codecOf,
  deriveKey,
  elementCount,
  fromFloat32,
  randomKey,
  RandomStream,
  toStateDict,
  writeSafetensors,
} from "@fedlora/core";
import type { TensorLayout } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";

/** Updates that differ; more are the same ones under other ids, so that the input fits memory and the page cache. */
export const distinctUpdates = 8;

/** Normal deltas of standard deviation 1e-3, as training gives; a prime number, so that modules start at other places. */
const pool = normals(1_048_573);

export interface StoredRound {
  readonly global: BlobFile;
  readonly updates: readonly BlobFile[];
}

/** Writes a global adapter and `distinctUpdates` encoded updates, made once per layout and codec. */
export async function storeRound(
  folder: string,
  adapter: TensorLayout,
  upload: { readonly layout: TensorLayout; readonly codec: string },
): Promise<StoredRound> {
  const global = await store(
    folder,
    writeSafetensors(toStateDict(adapter.map((spec) => [spec.name, tensor(spec, 0)]))),
  );
  const updates: BlobFile[] = [];
  for (let k = 1; k <= distinctUpdates; k++) {
    const values = new Map(upload.layout.map((spec) => [spec.name, valuesAt(spec, k)]));
    const encoded = codecOf(upload.codec).encode(upload.layout, (name) => values.get(name) ?? new Float32Array(0));
    updates.push(await store(folder, writeSafetensors(encoded)));
  }
  return { global, updates };
}

async function store(folder: string, bytes: Uint8Array): Promise<BlobFile> {
  const blobId = blobIdOf(bytes, nodeSha256);
  const path = join(folder, blobId);
  await writeFile(path, bytes);
  return { blobId, path };
}

const tensor = (spec: TensorLayout[number], seed: number) => fromFloat32(valuesAt(spec, seed), spec.shape);

function valuesAt({ name, shape }: TensorLayout[number], seed: number): Float32Array {
  const values = new Float32Array(elementCount(shape));
  let at = deriveKey(randomKey(seed), name)[0] % pool.length;
  for (let done = 0; done < values.length;) {
    const part = pool.subarray(at, at + values.length - done);
    values.set(part, done);
    done += part.length;
    at = 0;
  }
  return values;
}

function normals(count: number): Float32Array {
  const stream = new RandomStream(randomKey(0));
  return Float32Array.from({ length: count }, () => 1e-3 * stream.normal());
}
