/** An array that is used again and again, so that steady work leaves nothing to the garbage collector. */
export class Scratch {
  #values = new Float32Array(0);

  /** `length` values of whatever was there before, valid until the next call. */
  take(length: number): Float32Array<ArrayBuffer> {
    if (this.#values.length < length) this.#values = new Float32Array(length);
    return this.#values.subarray(0, length);
  }
}
