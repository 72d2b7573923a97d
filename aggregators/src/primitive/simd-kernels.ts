import type { ExactKernels } from "./exact-kernels.js";
import { simdModule } from "./simd-module.js";

/** Memory whose `buffer` is another one after it has grown. */
export interface GrowingMemory {
  readonly buffer: ArrayBuffer;
  /** By so many pages of 64 KiB; throws RangeError beyond the maximum. */
  grow(pages: number): void;
}

/** What is used of WebAssembly: its types come with the DOM's only, and this code needs no DOM. */
interface WebAssemblyApi {
  readonly Memory: new (size: { initial: number; maximum: number }) => GrowingMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  validate(bytes: Uint8Array): boolean;
}

/** The module's functions: those of `ExactKernels`, where 1 stands for true. */
type Exports = Omit<ExactKernels, "within" | "moveMultiples"> & {
  readonly within: (...args: Parameters<ExactKernels["within"]>) => number;
  readonly moveMultiples: (...args: Parameters<ExactKernels["moveMultiples"]>) => number;
};

/** Compiled on first use, once per thread. */
let compiled: object | undefined;

/** New memory and the WebAssembly kernels on it; undefined where the engine has no WebAssembly SIMD. */
export function simdKernels(size: {
  readonly initial: number;
  readonly maximum: number;
}): { readonly memory: GrowingMemory; readonly kernels: ExactKernels } | undefined {
  const api = (globalThis as { WebAssembly?: WebAssemblyApi }).WebAssembly;
  if (api === undefined) return undefined;
  if (compiled === undefined) {
    const bytes = Uint8Array.from(atob(simdModule), (character) => character.charCodeAt(0));
    if (!api.validate(bytes)) return undefined;
    compiled = new api.Module(bytes);
  }
  const memory = new api.Memory(size);
  const exports = new api.Instance(compiled, { env: { memory } }).exports as Exports;
  const { within, moveMultiples, ...others } = exports;
  const kernels: ExactKernels = {
    ...others,
    within: (values, count, smallest, largest) => within(values, count, smallest, largest) !== 0,
    moveMultiples: (from, count, to, splitter) => moveMultiples(from, count, to, splitter) !== 0,
  };
  return { memory, kernels };
}
