/**
 * The narrow waist: the operations that models are written with. Behind it stands TensorFlow.js, which runs them at once
 * (the eager engines) or only records them (the compiler). Each has a gradient of its own where tfjs's is wrong, slow or
 * absent, and a test against finite differences on every backend.
 */
export { add, divideClamped, matmul, multiply, scale, sum, toFloat } from "./ops/arithmetic.js";
export { gelu, geluTanh, silu, softmax, tanh } from "./ops/activation.js";
export { adapterUpdate, project } from "./ops/adapter-update.js";
export type { AdapterUpdate, Operand } from "./ops/adapter-update.js";
export { additiveMask, attention, mergeHeads, splitHeads } from "./ops/attention.js";
export { checkpoint, valueAndGradients } from "./ops/differentiate.js";
export { frozenLinear, linear, lowRankUpdate } from "./ops/linear.js";
export type { LowRankPair, LowRankUpdate } from "./ops/linear.js";
export { crossEntropy, headCrossEntropy } from "./ops/loss.js";
export { l2Normalize, layerNorm, rmsNorm } from "./ops/norm.js";
export { rope, ropeTables } from "./ops/rope.js";
export type { RopeLayout, RopeTables } from "./ops/rope.js";
export { concat, detach, lookup, reshape, rowsAt, slice, transpose } from "./ops/shape.js";
export { retain } from "./ops/value.js";
export type { Value } from "./ops/value.js";
