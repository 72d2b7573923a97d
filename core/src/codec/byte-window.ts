import type { EncodedRead } from "./codec.js";

const windowBytes = 16 * 1024;

/** Reads a tensor's bytes through a buffer of 16 KiB. */
export class ByteWindow {
  readonly #name: string;
  readonly #itemSize: number;
  readonly #length: number;
  readonly #buffer = new Uint8Array(windowBytes);
  #read: EncodedRead | undefined;
  /** Of the bytes in the buffer: none are when start equals end. */
  #start = 0;
  #end = 0;

  /**
   * @param length in bytes
   * @param itemSize bytes of an element, 1, 2 or 4
   */
  constructor(name: string, length: number, itemSize: number) {
    this.#name = name;
    this.#length = length;
    this.#itemSize = itemSize;
  }

  /** From now on the bytes are those of another update. */
  attach(read: EncodedRead): void {
    this.#read = read;
    this.#end = this.#start;
  }

  /** @param index from 0 to below the length */
  at(index: number): number {
    if (index < this.#start || index >= this.#end) this.#load(index);
    return this.#buffer[index - this.#start] ?? 0;
  }

  /**
   * The bytes from an index on, as many as are in the buffer with it: at least one, at most up to `end`. Valid until the
   * next call.
   */
  from(index: number, end: number): Uint8Array {
    if (index < this.#start || index >= this.#end) this.#load(index);
    return this.#buffer.subarray(index - this.#start, Math.min(end, this.#end) - this.#start);
  }

  #load(index: number): void {
    const start = index - (index % windowBytes);
    const end = Math.min(start + windowBytes, this.#length);
    const size = this.#itemSize;
    // A copy: in between other tensors are read, through the same memory.
    if (this.#read !== undefined) this.#buffer.set(this.#read(this.#name, start / size, end / size));
    this.#start = start;
    this.#end = end;
  }
}
