import { FedLoraError } from "../errors.js";
import { parseStrictJson } from "../json/strict-json.js";
import type { StrictJson } from "../json/strict-json.js";
import { dtypes, itemSize } from "./dtype.js";
import type { DType } from "./dtype.js";

/** Where one tensor lies in a safetensors file. */
export interface SafetensorsEntry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** From the start of the file, in bytes. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  /** In the order of the data; padding tensors are left out. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Where the tensors' bytes begin in the file. */
  readonly dataOffset: number;
  readonly fileSize: number;
}

/** Bytes of the length field that a file begins with. */
export const safetensorsPrefixBytes = 8;
/** Largest header that is read. */
export const maxHeaderBytes = 8 * 1024 * 1024;
/** Padding tensors, written for alignment alone since the format allows no holes: `__pad.0`, U8. */
export const paddingPrefix = "__pad.";

export const maxNameLength = 1024;
export const maxDimensions = 16;
const forbiddenKeys = new Set(["__proto__", "constructor", "prototype"]);
const invalid = (problem: string): never => {
  throw new FedLoraError("safetensors-invalid", problem);
};

/**
 * Length in bytes of the JSON header, from the file's first eight bytes.
 *
 * @throws FedLoraError `safetensors-invalid` when it is beyond the file or the cap of 8 MiB.
 */
export function readHeaderLength(prefix: Uint8Array, fileSize: number): number {
  if (prefix.byteLength < safetensorsPrefixBytes || fileSize < safetensorsPrefixBytes) {
    return invalid(`a safetensors file has at least ${safetensorsPrefixBytes} bytes, got ${fileSize}`);
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, safetensorsPrefixBytes);
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32;
  if (length > maxHeaderBytes) invalid(`the header length ${length} is above the cap of ${maxHeaderBytes} bytes`);
  if (length > fileSize - safetensorsPrefixBytes) {
    invalid(`the header length ${length} is beyond the file's ${fileSize} bytes; is the file truncated?`);
  }
  return length;
}

/**
 * Reads and checks a header without the tensors' data, so that a file can be read tensor by tensor.
 *
 * Refused: a header above 8 MiB, repeated or prototype keys, unknown dtypes, shapes that are not small non-negative
 * integers, offsets that disagree with shape and dtype, overlaps, holes, data shorter or longer than the file.
 * Format: https://github.com/huggingface/safetensors#format
 *
 * @param bytes the file's first bytes, at least the eight of the length field and the header
 * @param fileSize the whole file's size in bytes
 * @throws FedLoraError `safetensors-invalid` naming the tensor
 */
export function parseSafetensorsHeader(bytes: Uint8Array, fileSize: number): SafetensorsHeader {
  const length = readHeaderLength(bytes, fileSize);
  const dataOffset = safetensorsPrefixBytes + length;
  if (bytes.byteLength < dataOffset) invalid(`the header needs ${dataOffset} bytes, got ${bytes.byteLength}`);
  const root = parseStrictJson(decode(bytes.subarray(8, dataOffset)), "the safetensors header", "safetensors-invalid");
  if (!(root instanceof Map)) return invalid("the safetensors header must be an object");

  let metadata: ReadonlyMap<string, string> = new Map();
  const entries: [string, SafetensorsEntry][] = [];
  for (const [name, value] of root) {
    if (forbiddenKeys.has(name)) invalid(`"${name}" is not allowed as a name`);
    if (name === "__metadata__") metadata = readMetadata(value);
    else entries.push([name, readEntry(name, value, dataOffset)]);
  }
  entries.sort(([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength);
  let end = dataOffset;
  for (const [name, entry] of entries) {
    if (entry.offset < end) invalid(`tensor "${name}" overlaps the one before it`);
    if (entry.offset > end) invalid(`there is a hole of ${entry.offset - end} bytes before tensor "${name}"`);
    end = entry.offset + entry.byteLength;
  }
  if (end > fileSize) invalid(`the tensors need ${end} bytes, the file has ${fileSize}; is the file truncated?`);
  if (end < fileSize) invalid(`the file has ${fileSize - end} bytes after the last tensor`);
  const tensors = new Map(entries.filter(([name]) => !name.startsWith(paddingPrefix)));
  return { tensors, metadata, dataOffset, fileSize };
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return invalid("the safetensors header is not UTF-8");
  }
}

function readMetadata(value: StrictJson): ReadonlyMap<string, string> {
  if (!(value instanceof Map)) return invalid("__metadata__ must be an object of strings");
  return new Map(
    [...value].map(([key, text]): [string, string] => {
      if (forbiddenKeys.has(key)) invalid(`"${key}" is not allowed as a metadata key`);
      return typeof text === "string" ? [key, text] : invalid(`metadata "${key}" must be a string`);
    }),
  );
}

function readEntry(name: string, value: StrictJson, dataOffset: number): SafetensorsEntry {
  if (name.length === 0 || name.length > maxNameLength) {
    return invalid(`a tensor's name must have 1 to ${maxNameLength} characters, got ${name.length}`);
  }
  if (!(value instanceof Map)) return invalid(`tensor "${name}" must be an object`);
  for (const key of value.keys()) {
    if (key !== "dtype" && key !== "shape" && key !== "data_offsets") invalid(`tensor "${name}" has the key "${key}"`);
  }
  const dtype = dtypes.find((known) => known === value.get("dtype"));
  if (dtype === undefined) {
    return invalid(`tensor "${name}" has dtype ${show(value.get("dtype"))}; known are ${dtypes.join(", ")}`);
  }
  const shape = readSizes(name, "shape", value.get("shape"));
  if (shape.length > maxDimensions)
    invalid(`tensor "${name}" has ${shape.length} dimensions, at most ${maxDimensions}`);
  let byteLength = itemSize[dtype];
  for (const size of shape) byteLength *= size;
  const offsets = readSizes(name, "data_offsets", value.get("data_offsets"));
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2) {
    return invalid(`tensor "${name}" needs two data_offsets, got ${offsets.length}`);
  }
  // Beyond 2^53 the product is inexact, but larger than any difference of two safe integers, so it is refused here.
  if (end - begin !== byteLength) {
    invalid(
      `tensor "${name}" of ${dtype} [${shape.join(", ")}] needs ${byteLength} bytes, its offsets give ${end - begin}`,
    );
  }
  return { dtype, shape, offset: dataOffset + begin, byteLength };
}

function readSizes(name: string, field: string, value: StrictJson | undefined): number[] {
  if (!Array.isArray(value)) return invalid(`tensor "${name}" needs a list as ${field}, got ${show(value)}`);
  return value.map((size) =>
    typeof size === "number" && Number.isSafeInteger(size) && size >= 0
      ? size
      : invalid(`tensor "${name}" has ${show(size)} in its ${field}; it must be an integer of at least 0`),
  );
}

function show(value: StrictJson | undefined): string {
  if (value === undefined) return "nothing";
  if (value instanceof Map) return "an object";
  return Array.isArray(value) ? "a list" : JSON.stringify(value).slice(0, 80);
}
