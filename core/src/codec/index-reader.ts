import { FedLoraError } from "../errors.js";
import { itemSize } from "../tensor/dtype.js";
import type { TensorSpec } from "../tensor/tensor.js";
import { ByteWindow } from "./byte-window.js";
import type { EncodedRead } from "./codec.js";
import { gapSymbols } from "./index-coding.js";
import type { IndexCoding } from "./index-coding.js";

/**
 * Reads k stored indices below n, in ascending order, through a window: memory does not depend on their number. It may go
 * back to any place where it was between two indices. Nothing that is read is trusted.
 */
export interface IndexReader {
  /** Place in the stored form: an index, a bit or a symbol. */
  readonly unit: number;
  /** Lowest index that may come next. */
  readonly from: number;
  /** From now on the indices are those of another update, from the first on. */
  attach(read: EncodedRead): void;
  seek(unit: number, from: number): void;
  /**
   * Goes on to the first index that is not below `end`, without taking it.
   *
   * @param left how many of the k indices are left
   * @param limit it may stop when it has passed so many, before `end`
   * @returns how many were passed; throws `tensor-invalid` where fewer than are left lie below n
   */
  pass(end: number, left: number, limit: number): number;
  /** Takes as many indices as there are values and puts value i at index i less `first`; throws as `pass`. Seek after it. */
  scatter(values: Float32Array, into: Float32Array, first: number): void;
  /** After the k-th index: throws `tensor-invalid` unless what is left is zero. */
  assertEnd(): void;
}

export function indexReader(coding: IndexCoding, spec: TensorSpec, n: number, k: number): IndexReader {
  switch (coding.kind) {
    case "indices":
      return new ListReader(spec, n, k);
    case "bitmap":
      return new BitmapReader(spec, n, k);
    case "gaps":
      return new GapReader(spec, n, k, coding.width);
  }
}

abstract class WindowReader implements IndexReader {
  unit = 0;
  from = 0;
  protected readonly n: number;
  protected readonly k: number;
  protected readonly window: ByteWindow;
  /** Bytes of the tensor. */
  protected readonly length: number;
  readonly #name: string;

  constructor({ name, dtype, shape: [elements = 0] }: TensorSpec, n: number, k: number) {
    const size = itemSize[dtype];
    this.length = elements * size;
    this.window = new ByteWindow(name, this.length, size);
    this.#name = name;
    this.n = n;
    this.k = k;
  }

  attach(read: EncodedRead): void {
    this.window.attach(read);
    this.seek(0, 0);
  }

  seek(unit: number, from: number): void {
    this.unit = unit;
    this.from = from;
  }

  abstract pass(end: number, left: number, limit: number): number;
  abstract scatter(values: Float32Array, into: Float32Array, first: number): void;
  abstract assertEnd(): void;

  protected taken(index: number): number {
    if (index >= this.n) throw this.invalid(`goes on to index ${index}`);
    this.from = index + 1;
    return index;
  }

  protected invalid(problem: string): FedLoraError {
    const message = `tensor "${this.#name}", which says where ${this.k} of ${this.n} values are, ${problem}`;
    return new FedLoraError("tensor-invalid", message, { details: { tensor: this.#name } });
  }
}

abstract class SingleReader extends WindowReader {
  pass(end: number, left: number, limit: number): number {
    const most = Math.min(left, limit);
    for (let count = 0; count < most; count += 1) {
      const { unit, from } = this;
      if (this.next() < end) continue;
      this.seek(unit, from);
      return count;
    }
    return most;
  }

  scatter(values: Float32Array, into: Float32Array, first: number): void {
    for (const value of values) into[this.next() - first] = value;
  }

  /** The next index; throws `tensor-invalid` where there is none below n. */
  protected abstract next(): number;
}

class ListReader extends SingleReader {
  protected next(): number {
    const { window, unit } = this;
    const at = 4 * unit;
    const index = window.at(at) | (window.at(at + 1) << 8) | (window.at(at + 2) << 16) | (window.at(at + 3) << 24);
    if (index < this.from) throw this.invalid(`has index ${index} at ${unit}, at least ${this.from} was to come`);
    this.unit = unit + 1;
    return this.taken(index);
  }

  assertEnd(): void {
    // The list is as long as it has indices.
  }
}

/** Bits of each byte. */
const bitCounts = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let left = byte; left !== 0; left &= left - 1) count += 1;
  return count;
});

class BitmapReader extends WindowReader {
  pass(end: number, left: number): number {
    const last = end >>> 3;
    let count = 0;
    for (let at = this.unit >>> 3; at < Math.min(last + 1, this.length);) {
      const bytes = this.window.from(at, last + 1);
      for (const byte of bytes) count += bitCounts[byte] ?? 0;
      // Of the first and the last byte only the bits between.
      if (at === this.unit >>> 3) count -= bitCounts[(bytes[0] ?? 0) & ((1 << (this.unit & 7)) - 1)] ?? 0;
      at += bytes.length;
      if (at === last + 1) count -= bitCounts[(bytes.at(-1) ?? 0) & (0xff << (end & 7))] ?? 0;
    }
    this.seek(end, end);
    if (count > left) throw this.invalid("has more bits");
    if (end === this.n && count < left) {
      this.assertEnd();
      throw this.invalid("has fewer bits");
    }
    return count;
  }

  scatter(values: Float32Array, into: Float32Array, first: number): void {
    let at = this.unit >>> 3;
    let skip = this.unit & 7;
    for (let i = 0; i < values.length;) {
      if (at >= this.length) throw this.invalid("has fewer bits");
      const bytes = this.window.from(at, this.length);
      for (let b = 0; b < bytes.length && i < values.length; b += 1, at += 1, skip = 0) {
        const place = 8 * at - first;
        for (let bits = (bytes[b] ?? 0) & (0xff << skip); bits !== 0 && i < values.length; bits &= bits - 1) {
          into[place + 31 - Math.clz32(bits & -bits)] = values[i] ?? 0;
          i += 1;
        }
      }
    }
  }

  assertEnd(): void {
    for (let at = this.unit >>> 3, skip = this.unit & 7; at < this.length; at += 1, skip = 0) {
      const bits = this.window.at(at) & (0xff << skip);
      if (bits !== 0) throw this.invalid(`goes on to index ${8 * at + 31 - Math.clz32(bits & -bits)}`);
    }
  }
}

class GapReader extends SingleReader {
  readonly #width: number;
  readonly #escape: number;
  readonly #symbols: number;
  /** Bits that were read and not used yet, and how many. */
  #bits = 0;
  #count = 0;
  #nextByte = 0;

  constructor(spec: TensorSpec, n: number, k: number, width: number) {
    super(spec, n, k);
    this.#width = width;
    this.#escape = 2 ** width - 1;
    this.#symbols = gapSymbols(n, k, width);
  }

  override seek(unit: number, from: number): void {
    super.seek(unit, from);
    const bit = unit * this.#width;
    this.#nextByte = Math.floor(bit / 8);
    this.#bits = 0;
    this.#count = 0;
    const used = bit % 8;
    if (used === 0 || this.#nextByte >= this.length) return;
    this.#bits = this.window.at(this.#nextByte) >>> used;
    this.#count = 8 - used;
    this.#nextByte += 1;
  }

  protected next(): number {
    let index = this.from;
    for (;;) {
      const symbol = this.#symbol();
      index += symbol;
      if (symbol !== this.#escape) return this.taken(index);
      if (index >= this.n) throw this.invalid(`goes on to index ${index}`);
    }
  }

  assertEnd(): void {
    while (this.unit < this.#symbols) if (this.#symbol() !== 0) throw this.invalid("goes on after the last");
    if (this.#bits !== 0) throw this.invalid("goes on after the last");
  }

  #symbol(): number {
    // Too many escapes lead beyond n before the symbols end; only a file that changes while it is read gets here.
    if (this.unit >= this.#symbols) throw this.invalid("ends before the last");
    this.unit += 1;
    while (this.#count < this.#width) {
      this.#bits |= this.window.at(this.#nextByte) << this.#count;
      this.#count += 8;
      this.#nextByte += 1;
    }
    const symbol = this.#bits & this.#escape;
    this.#bits >>>= this.#width;
    this.#count -= this.#width;
    return symbol;
  }
}
