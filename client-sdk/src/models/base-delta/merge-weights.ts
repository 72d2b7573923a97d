import { FedLoraError, type ModelManifest } from "@fedlora/core";
import { SafetensorsFile, writeFileAtomically } from "@fedlora/core/node";
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import type { OpenBaseDelta } from "./base-delta.js";
import { changeModule } from "./module-changes.js";
import { readExactly } from "./tensor-source.js";

const pieceBytes = 1024 * 1024;

export interface MergeRequest {
  /** Canonical weights file to start from. */
  readonly weightsFile: string;
  readonly target: string;
  /** The changes of one segment are added together in float64 and rounded once to float32. */
  readonly segments: readonly (readonly OpenBaseDelta[])[];
  readonly manifest: Pick<ModelManifest, "modules">;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a canonical weights file in which every module that a delta names counts with it: the same header, the same
 * places, other values. The file is read and written once, in order; memory holds a block of rows and one module's
 * factors. It appears whole or not at all.
 *
 * @returns SHA-256 of the written file
 * @throws FedLoraError `adapter-invalid` where a weight would not be finite, `artifact-invalid` where the file does not
 *   hold a module as F32 [dOut, dIn], `cancelled`
 */
export async function mergeBaseDeltas(request: MergeRequest): Promise<string> {
  const { weightsFile, target, segments, manifest, signal } = request;
  const header = new SafetensorsFile(weightsFile);
  header.close();
  const touched = manifest.modules
    .filter(({ name }) => segments.some((segment) => segment.some(({ ranks }) => ranks.has(name))))
    .map((module) => ({ module, place: header.entry(`${module.name}.weight`) }))
    .sort((a, b) => a.place.offset - b.place.offset);
  const hash = createHash("sha256");
  const input = await open(weightsFile);
  try {
    const { size } = await input.stat();
    await writeFileAtomically(target, async (output) => {
      const write = async (bytes: Uint8Array): Promise<void> => {
        if (signal?.aborted === true) throw new FedLoraError("cancelled", "merging base deltas was cancelled");
        hash.update(bytes);
        for (let at = 0; at < bytes.byteLength;) {
          at += (await output.write(bytes, at, bytes.byteLength - at)).bytesWritten;
        }
      };
      let position = 0;
      for (const { module, place } of touched) {
        const { name, dIn, dOut } = module;
        if (place.dtype !== "F32" || place.shape.join() !== `${dOut},${dIn}`) {
          throw new FedLoraError(
            "artifact-invalid",
            `"${weightsFile}" does not hold "${name}" as F32 [${dOut}, ${dIn}]`,
          );
        }
        await copy(input, position, place.offset, write);
        await changeModule(module, segments, {
          read: (values, first) => readExactly(input, bytesOf(values), place.offset + first * dIn * 4),
          write: (values) => write(bytesOf(values)),
        });
        position = place.offset + place.byteLength;
      }
      await copy(input, position, size, write);
    });
  } finally {
    await input.close();
  }
  return hash.digest("hex");
}

async function copy(
  input: FileHandle,
  from: number,
  to: number,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const piece = new Uint8Array(Math.min(pieceBytes, to - from));
  for (let at = from; at < to; at += piece.byteLength) {
    const bytes = piece.subarray(0, Math.min(piece.byteLength, to - at));
    await readExactly(input, bytes, at);
    await write(bytes);
  }
}

const bytesOf = (values: Float32Array<ArrayBuffer>): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
