/**
 * Kernels that only the tracing backend has: each does in one graph node what the eager backends compose of several
 * tfjs kernels.
 */

/** ONNX Gemm: `a b + c`, operands transposed as said. */
export const gemmKernel = "FedloraGemm";
/** ONNX LayerNormalization, which also yields mean and inverse deviation. */
export const layerNormKernel = "FedloraLayerNorm";
/** ONNX Gelu, exact or by tanh. */
export const geluKernel = "FedloraGelu";
/** ONNX LogSoftmax over the last axis. */
export const logSoftmaxKernel = "FedloraLogSoftmax";
/** ONNX GatherElements: one element of each row. */
export const pickKernel = "FedloraPick";
