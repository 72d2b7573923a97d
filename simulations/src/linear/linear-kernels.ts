import { simdModule } from "./simd-module.js";

const pageBytes = 65_536;

/** Of simulations/assembly/linear-kernels.ts; pointers are bytes of the memory. */
export interface LinearKernels {
  toColumns(from: number, rows: number, columns: number, padded: number, to: number): void;
  takeRows(from: number, rows: number, columns: number, padded: number, to: number): void;
  project(matrix: number, padded: number, indices: number, values: number, count: number, sums: number): void;
  accumulate(matrix: number, padded: number, indices: number, values: number, count: number, factors: number): void;
  sumOfSquares(values: number, count: number): number;
  descend(values: number, gradient: number, count: number, decay: number, rate: number): void;
}

export interface KernelMemory {
  /** Another one after the memory has grown. */
  readonly buffer: ArrayBuffer;
  /** By so many pages of 64 KiB. */
  grow(pages: number): void;
}

/** What is used of WebAssembly, whose types come with the DOM's only. */
interface WebAssemblyApi {
  readonly Memory: new (size: { initial: number; maximum: number }) => KernelMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
}

/** Compiled on first use, once per thread. */
let compiled: object | undefined;

/** New memory and the kernels on it. */
export function openLinearKernels(): { readonly memory: KernelMemory; readonly kernels: LinearKernels } {
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyApi };
  compiled ??= new WebAssembly.Module(Buffer.from(simdModule, "base64"));
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65535 });
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  return { memory, kernels: exports as LinearKernels };
}

/** The memory's buffer, grown where it has fewer bytes than these. */
export function reserve(memory: KernelMemory, bytes: number): ArrayBuffer {
  const missing = bytes - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
  return memory.buffer;
}
