import { elementCount } from "@fedlora/core";
import type { Graph, GraphNode } from "./graph.js";

const bytesPer = { float32: 4, int32: 4, bool: 1, int64: 8 } as const;

/**
 * The most bytes that computed values take at one time when the nodes run in their order and a value is freed after its
 * last reader. Weights and inputs do not count; a runtime's memory pool takes somewhat more.
 */
export function peakActivationBytes(graph: Graph, nodes: readonly GraphNode[], outputs: readonly string[]): number {
  const lastReader = new Map<string, number>();
  nodes.forEach((node, index) => {
    for (const name of node.inputs) lastReader.set(name, index);
  });
  for (const name of outputs) lastReader.set(name, nodes.length);
  const freedAfter = new Map<number, number>();
  let live = 0;
  let peak = 0;
  nodes.forEach((node, index) => {
    for (const name of node.outputs) {
      const value = graph.values.get(name);
      const bytes = value === undefined ? 0 : elementCount(value.shape) * bytesPer[value.dtype];
      live += bytes;
      const end = lastReader.get(name) ?? index;
      freedAfter.set(end, (freedAfter.get(end) ?? 0) + bytes);
    }
    peak = Math.max(peak, live);
    live -= freedAfter.get(index) ?? 0;
  });
  return peak;
}
