import type { SlotKernels } from "@fedlora/client-sdk/parts";
import { openLinearKernels, reserve } from "./linear-kernels.js";

/** A slot's loops in WebAssembly SIMD; the numbers are copied in and out, which costs less than a plain loop over them. */
export function openSlotKernels(): SlotKernels {
  const { memory, kernels } = openLinearKernels();
  return {
    sumOfSquares(values) {
      new Float32Array(reserve(memory, values.byteLength), 0, values.length).set(values);
      return kernels.sumOfSquares(0, values.length);
    },
    descend(values, gradient, decay, rate) {
      const { length, byteLength } = values;
      const buffer = reserve(memory, 2 * byteLength);
      const own = new Float32Array(buffer, 0, length);
      own.set(values);
      new Float32Array(buffer, byteLength, length).set(gradient);
      kernels.descend(0, byteLength, length, decay, rate);
      values.set(own);
    },
  };
}
