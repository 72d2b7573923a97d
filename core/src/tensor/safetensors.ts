import { FedLoraError } from "../errors.js";
import { itemSize } from "./dtype.js";
import type { DType } from "./dtype.js";
import { maxHeaderBytes, paddingPrefix, parseSafetensorsHeader, safetensorsPrefixBytes } from "./safetensors-header.js";
import { compareNames, layoutOf, toStateDict } from "./state-dict.js";
import { elementCount } from "./tensor.js";
import type { StateDict, Tensor, TensorLayout } from "./tensor.js";
import { assertTensor } from "./values.js";

export interface SafetensorsOptions {
  /** Free text that travels in the header. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The data begins at a multiple of this many bytes, a power of two from 8 to 4096; default 8. */
  readonly alignment?: number;
  /** Every tensor begins at a multiple of `alignment`, by padding tensors that our reader hides; default false. */
  readonly alignTensors?: boolean;
}

/** A file's header and where its tensors go, for writing it tensor by tensor. Bytes between tensors are zero. */
export interface SafetensorsPlan {
  /** Length field and JSON. */
  readonly header: Uint8Array;
  /** In the order of the data; offsets from the start of the file. */
  readonly tensors: readonly { readonly name: string; readonly offset: number; readonly byteLength: number }[];
  readonly fileSize: number;
}

/** The order in which the reference implementation puts dtypes: wider ones first, so that each tensor is aligned. */
const dtypeOrder: readonly DType[] = ["I64", "F64", "F32", "I32", "BF16", "F16", "I8", "U8", "BOOL"];

/**
 * Decides a file's bytes but for the values: deterministic, by dtype (wider first) and name, the same bytes as the
 * reference implementation writes for the default options.
 *
 * @throws FedLoraError `safetensors-invalid` for names that the format reserves and a header above 8 MiB
 */
export function planSafetensors(layout: TensorLayout, options: SafetensorsOptions = {}): SafetensorsPlan {
  const { metadata, alignment = 8, alignTensors = false } = options;
  const rows: (readonly [string, { dtype: DType; shape: readonly number[]; data_offsets: [number, number] }])[] = [];
  const tensors: { name: string; offset: number; byteLength: number }[] = [];
  let end = 0;
  for (const { name, dtype, shape } of sortForFile(layout)) {
    const padding = alignTensors ? -end & (alignment - 1) : 0;
    if (padding > 0) {
      rows.push([
        `${paddingPrefix}${rows.length}`,
        { dtype: "U8", shape: [padding], data_offsets: [end, end + padding] },
      ]);
      end += padding;
    }
    const byteLength = elementCount(shape) * itemSize[dtype];
    rows.push([name, { dtype, shape, data_offsets: [end, end + byteLength] }]);
    tensors.push({ name, offset: end, byteLength });
    end += byteLength;
  }
  const header = encodeHeader(rows, metadata, alignment);
  return {
    header,
    tensors: tensors.map((tensor) => ({ ...tensor, offset: header.byteLength + tensor.offset })),
    fileSize: header.byteLength + end,
  };
}

/** A whole file in memory; throws `tensor-invalid` when a tensor's bytes are not those of its shape. */
export function writeSafetensors(state: StateDict, options: SafetensorsOptions = {}): Uint8Array {
  const plan = planSafetensors(layoutOf(state), options);
  const file = new Uint8Array(plan.fileSize);
  file.set(plan.header);
  const offsets = new Map(plan.tensors.map(({ name, offset }) => [name, offset]));
  for (const [name, tensor] of state) {
    assertTensor(name, tensor);
    file.set(tensor.bytes, offsets.get(name));
  }
  return file;
}

/**
 * Reads a whole file in memory. The tensors' bytes are views of `file`.
 *
 * @throws FedLoraError `safetensors-invalid`
 */
export function readSafetensors(file: Uint8Array): { tensors: StateDict; metadata: ReadonlyMap<string, string> } {
  const header = parseSafetensorsHeader(file, file.byteLength);
  const tensors = toStateDict(
    [...header.tensors].map(([name, { dtype, shape, offset, byteLength }]): [string, Tensor] => [
      name,
      { dtype, shape, bytes: file.subarray(offset, offset + byteLength) },
    ]),
  );
  return { tensors, metadata: header.metadata };
}

function sortForFile(layout: TensorLayout): TensorLayout {
  const seen = new Set<string>();
  for (const { name } of layout) {
    if (name.length === 0 || name === "__metadata__" || name.startsWith(paddingPrefix) || seen.has(name)) {
      throw new FedLoraError("safetensors-invalid", `"${name}" cannot be written: it is empty, reserved or repeated`);
    }
    seen.add(name);
  }
  return [...layout].sort(
    (a, b) => dtypeOrder.indexOf(a.dtype) - dtypeOrder.indexOf(b.dtype) || compareNames(a.name, b.name),
  );
}

function encodeHeader(
  rows: readonly (readonly [string, unknown])[],
  metadata: Readonly<Record<string, string>> | undefined,
  alignment: number,
): Uint8Array {
  if (!Number.isInteger(Math.log2(alignment)) || alignment < 8 || alignment > 4096) {
    throw new FedLoraError("safetensors-invalid", `alignment ${alignment} must be a power of two from 8 to 4096`);
  }
  // Written by hand: an object would move names like "1" to the front.
  const all = metadata === undefined ? rows : [["__metadata__", sortKeys(metadata)] as const, ...rows];
  const json = `{${all.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const text = new TextEncoder().encode(json);
  const length = text.byteLength + (-(safetensorsPrefixBytes + text.byteLength) & (alignment - 1));
  if (length > maxHeaderBytes) {
    throw new FedLoraError(
      "safetensors-invalid",
      `the header of ${length} bytes is above the cap of ${maxHeaderBytes}`,
    );
  }
  const header = new Uint8Array(safetensorsPrefixBytes + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, safetensorsPrefixBytes);
  return header;
}

const sortKeys = (metadata: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => compareNames(a, b)));
