import { elementCount, type DType, itemSize, type StateDict, type Tensor, toFloat32 } from "@fedlora/core";
import { SafetensorsFile } from "@fedlora/core/node";
import { type FileHandle, open } from "node:fs/promises";

/** Tensors that are read in parts, from a file or from memory. */
export interface TensorSource {
  readonly layout: ReadonlyMap<string, Pick<Tensor, "dtype" | "shape">>;
  /** `count` values from the flat index `start` on, as float32. */
  read(name: string, start: number, count: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/** @throws FedLoraError `file-missing`, `safetensors-invalid` */
export async function openTensorSource(source: StateDict | string): Promise<TensorSource> {
  return typeof source === "string" ? openFile(source) : inMemory(source);
}

function inMemory(state: StateDict): TensorSource {
  return {
    layout: state,
    read: (name, start, count) => {
      const { dtype, bytes } = tensorOf(state, name);
      const size = itemSize[dtype];
      return Promise.resolve(widen(dtype, bytes.subarray(start * size, (start + count) * size)));
    },
    close: () => Promise.resolve(),
  };
}

async function openFile(path: string): Promise<TensorSource> {
  const file = new SafetensorsFile(path);
  file.close();
  const handle = await open(path);
  return {
    layout: file.header.tensors,
    read: async (name, start, count) => {
      const { dtype, offset } = file.entry(name);
      const bytes = new Uint8Array(count * itemSize[dtype]);
      await readExactly(handle, bytes, offset + start * itemSize[dtype]);
      return widen(dtype, bytes);
    },
    close: () => handle.close(),
  };
}

/** Fills `bytes` from a file; what the file lacks stays as it is, which a checked header rules out. */
export async function readExactly(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength;) {
    const { bytesRead } = await handle.read(bytes, at, bytes.byteLength - at, position + at);
    if (bytesRead === 0) return;
    at += bytesRead;
  }
}

const widen = (dtype: DType, bytes: Uint8Array): Float32Array =>
  toFloat32({ dtype, shape: [bytes.byteLength / itemSize[dtype]], bytes });

function tensorOf(state: StateDict, name: string): Tensor {
  const tensor = state.get(name);
  return tensor ?? { dtype: "F32", shape: [0], bytes: new Uint8Array(elementCount([0])) };
}
