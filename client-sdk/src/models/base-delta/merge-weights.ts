import { type AdaptableModule, FedLoraError, type ModelManifest } from "@fedlora/core";
import { SafetensorsFile, writeFileAtomically } from "@fedlora/core/node";
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import type { DeltaFactors, OpenBaseDelta } from "./base-delta.js";
import { readExactly } from "./tensor-source.js";

const pieceBytes = 1024 * 1024;
/** Multiplications between two turns of the event loop: some 4 ms. */
const pieceProducts = 2 * 1024 * 1024;

export interface MergeRequest {
  /** Canonical weights file to start from. */
  readonly weightsFile: string;
  readonly target: string;
  /** The changes of one segment are added together in float64 and rounded once to float32. */
  readonly segments: readonly (readonly OpenBaseDelta[])[];
  readonly manifest: Pick<ModelManifest, "modules">;
  readonly signal?: AbortSignal | undefined;
}

/** What one delta of one segment adds to a module. */
type Change =
  | ({ readonly kind: "factored" } & DeltaFactors)
  | { readonly kind: "dense"; readonly delta: OpenBaseDelta; rows: Float32Array };

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
        await mergeModule(input, place.offset, module, await readChanges(module, segments), write);
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

async function readChanges(
  module: AdaptableModule,
  segments: MergeRequest["segments"],
): Promise<readonly (readonly Change[])[]> {
  const read = async (delta: OpenBaseDelta): Promise<Change> =>
    delta.ranks.get(module.name) === Number.POSITIVE_INFINITY
      ? { kind: "dense", delta, rows: new Float32Array(0) }
      : { kind: "factored", ...(await delta.factors(module)) };
  return Promise.all(segments.map((segment) => Promise.all(segment.map(read))));
}

async function mergeModule(
  input: FileHandle,
  offset: number,
  module: AdaptableModule,
  segments: readonly (readonly Change[])[],
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const { name, dIn, dOut } = module;
  const products = segments.flat().reduce((sum, change) => sum + (change.kind === "dense" ? 1 : change.rank), 1);
  const blockRows = Math.max(1, Math.floor(Math.min(pieceBytes / 4, pieceProducts / products) / dIn));
  const block = new Float32Array(Math.min(blockRows, dOut) * dIn);
  const sums = new Float64Array(dIn);
  for (let first = 0; first < dOut; first += blockRows) {
    const count = Math.min(blockRows, dOut - first);
    const values = block.subarray(0, count * dIn);
    const bytes = new Uint8Array(values.buffer, 0, values.byteLength);
    await readExactly(input, bytes, offset + first * dIn * 4);
    for (const change of segments.flat()) {
      if (change.kind === "dense") change.rows = await change.delta.denseRows(module, first, count);
    }
    for (let row = 0; row < count; row++) {
      const weights = values.subarray(row * dIn, (row + 1) * dIn);
      sums.set(weights);
      for (const segment of segments) {
        for (const change of segment) addRow(sums, change, first + row, row);
        for (let column = 0; column < dIn; column++) sums[column] = Math.fround(sums[column] ?? 0);
      }
      weights.set(sums);
      if (!Number.isFinite(sums.reduce((total, value) => total + value, 0))) {
        throw new FedLoraError("adapter-invalid", `base deltas make row ${first + row} of "${name}" not finite`, {
          details: { module: name },
        });
      }
    }
    await write(bytes);
  }
}

/** @param row of the matrix; `blockRow` of the block that is held of a dense change */
function addRow(sums: Float64Array, change: Change, row: number, blockRow: number): void {
  const dIn = sums.length;
  if (change.kind === "dense") {
    for (let column = 0; column < dIn; column++) {
      sums[column] = (sums[column] ?? 0) + (change.rows[blockRow * dIn + column] ?? 0);
    }
    return;
  }
  const { rank, a, b } = change;
  for (let k = 0; k < rank; k++) {
    const factor = b[row * rank + k] ?? 0;
    for (let column = 0; column < dIn; column++) {
      sums[column] = (sums[column] ?? 0) + factor * (a[k * dIn + column] ?? 0);
    }
  }
}
