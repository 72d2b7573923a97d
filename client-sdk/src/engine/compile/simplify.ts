import type { Graph, GraphNode } from "./graph.js";

/** The nodes that the outputs need, with additions folded into the matrix products that feed them. */
export function simplify(graph: Graph, outputs: readonly string[]): readonly GraphNode[] {
  return withoutDeadNodes(withFoldedAdditions(withoutDeadNodes(graph.nodes, outputs), graph, outputs), outputs);
}

/** Also what a backward pass computes for layers below the lowest trained one goes here. */
function withoutDeadNodes(nodes: readonly GraphNode[], outputs: readonly string[]): readonly GraphNode[] {
  const needed = new Set(outputs);
  const kept: GraphNode[] = [];
  for (const node of nodes.toReversed()) {
    if (!node.outputs.some((name) => needed.has(name))) continue;
    kept.push(node);
    for (const name of node.inputs) needed.add(name);
  }
  return kept.reverse();
}

/** Add(Gemm(a, b), c) -> Gemm(a, b, c), where nothing else reads the product: one pass over memory less. */
function withFoldedAdditions(
  nodes: readonly GraphNode[],
  graph: Graph,
  outputs: readonly string[],
): readonly GraphNode[] {
  const readers = new Map<string, number>(outputs.map((name) => [name, 1]));
  for (const name of nodes.flatMap((node) => node.inputs)) readers.set(name, (readers.get(name) ?? 0) + 1);
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const folded = new Set<GraphNode>();
  const result: GraphNode[] = [];
  for (const node of nodes) {
    const product = node.op === "Add" ? foldable(node, producers, readers, graph) : undefined;
    if (product === undefined) {
      result.push(node);
      continue;
    }
    const other = node.inputs.find((name) => !product.outputs.includes(name)) ?? "";
    const merged = { ...product, inputs: [...product.inputs, other], outputs: node.outputs };
    folded.add(product);
    // A later addition may not find this one any more: it has its third operand.
    for (const name of merged.outputs) producers.set(name, merged);
    result.push(merged);
  }
  return result.filter((node) => !folded.has(node));
}

function foldable(
  add: GraphNode,
  producers: ReadonlyMap<string, GraphNode>,
  readers: ReadonlyMap<string, number>,
  graph: Graph,
): GraphNode | undefined {
  const [shape] = add.outputs.map((name) => shapeText(graph, name));
  if (add.inputs[0] === add.inputs[1] || add.inputs.some((name) => shapeText(graph, name) !== shape)) return undefined;
  // The later product: the earlier one may feed the other operand.
  return add.inputs
    .toReversed()
    .map((name) => (readers.get(name) === 1 ? producers.get(name) : undefined))
    .find((node) => node?.op === "Gemm" && node.inputs.length === 2);
}

function shapeText(graph: Graph, name: string): string {
  return graph.values.get(name)?.shape.join(",") ?? "";
}
