import { expOfMinus, naturalLog } from "./elementary.js";

/**
 * Marsaglia and Tsang, "The Ziggurat Method for Generating Random Variables" (2000): the area under e^(-x^2 / 2), x >= 0,
 * as 256 layers of one area. Layer i > 0 spans x in [0, edges[i]], y in [heights[i], heights[i + 1]]; layer 0 is the
 * rectangle below heights[1] up to the tail's start, and the tail.
 */
export const layers = 256;

/** Where the tail begins, solved with 40 digits so that the 256th layer ends at height 1. */
export const tailStart = 3.6541528853610088;
const layerArea = 0.0049286732339746554;

/** Right ends of the layers; edges[256] = 0. The base's, edges[0], is that of a rectangle of its area, tail included. */
export const edges = new Float64Array(layers + 1);
/** e^(-edges[i]^2 / 2), from 1 on. */
export const heights = new Float64Array(layers + 1);

edges[0] = layerArea / expOfMinus((tailStart * tailStart) / 2);
edges[1] = tailStart;
heights[1] = expOfMinus((tailStart * tailStart) / 2);
for (let i = 2; i < layers; i += 1) {
  const height = layerArea / (edges[i - 1] ?? 1) + (heights[i - 1] ?? 0);
  edges[i] = Math.sqrt(-2 * naturalLog(height));
  heights[i] = height;
}
heights[layers] = 1;
