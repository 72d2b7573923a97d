import { FedLoraError } from "@fedlora/core";
import protobuf from "protobufjs";
import { externalWeightsFile } from "../artifact.js";
import type { WeightPlaces } from "../artifact.js";
import type { AttributeValue, Graph, GraphNode, GraphValue, Initializer } from "./graph.js";
import { externalDataLocation, onnxAttributeType, onnxElementType, onnxSchema } from "./onnx-schema.js";

export const onnxOpset = 21;
const irVersion = 10;

export interface EncodeRequest {
  readonly graph: Graph;
  readonly nodes: readonly GraphNode[];
  /** Output name -> the graph value that it is. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Where the weights that the nodes read lie in `weights.safetensors`. */
  readonly weights: WeightPlaces;
  readonly compilerVersion: string;
}

/** Bytes of an ONNX model whose weights stay in the file beside it. */
export function encodeOnnx({ graph, nodes, outputs, weights, compilerVersion }: EncodeRequest): Uint8Array {
  const used = new Set([...nodes.flatMap((node) => node.inputs), ...outputs.values()]);
  const computed = new Set(nodes.flatMap((node) => node.outputs));
  // Graph outputs carry their own names.
  const outputNames = new Map([...outputs].filter(([, v]) => computed.has(v)).map(([name, value]) => [value, name]));
  // What is no node's result, or an output twice, is copied.
  const copies = [...outputs]
    .filter(([name, value]) => outputNames.get(value) !== name)
    .map(([name, value]) => ({ op: "Identity", inputs: [value], outputs: [name], attributes: {} }));
  const model = {
    irVersion,
    producerName: "fedlora",
    producerVersion: compilerVersion,
    opsetImport: [{ domain: "", version: onnxOpset }],
    graph: {
      name: "step",
      node: [...nodes, ...copies].map((node, index) => encodeNode(node, index, outputNames)),
      initializer: [
        ...[...graph.initializers].filter(([name]) => used.has(name)).map(([name, value]) => inline(name, value)),
        ...[...graph.weights].filter((name) => used.has(name)).map((name) => external(name, weights)),
      ],
      input: graph.inputs.map((name) => valueInfo(name, graph.values.get(name))),
      output: [...outputs].map(([name, value]) => valueInfo(name, graph.values.get(value))),
    },
  };
  const type = protobuf.Root.fromJSON(onnxSchema).lookupType("onnx.ModelProto");
  return type.encode(type.fromObject(model)).finish();
}

function encodeNode(node: GraphNode, index: number, outputNames: ReadonlyMap<string, string>): object {
  const rename = (name: string): string => outputNames.get(name) ?? name;
  return {
    name: `${node.op}_${index}`,
    opType: node.op,
    input: node.inputs.map(rename),
    output: node.outputs.map(rename),
    attribute: Object.entries(node.attributes).map(([name, value]) => ({ name, ...encodeAttribute(value) })),
  };
}

function encodeAttribute(value: AttributeValue): object {
  if ("int" in value) return { type: onnxAttributeType.int, i: value.int };
  if ("float" in value) return { type: onnxAttributeType.float, f: value.float };
  if ("ints" in value) return { type: onnxAttributeType.ints, ints: value.ints };
  return { type: onnxAttributeType.string, s: new TextEncoder().encode(value.string) };
}

function inline(name: string, { dtype, shape, bytes }: Initializer): object {
  return { name, dims: shape, dataType: onnxElementType[dtype], rawData: bytes };
}

function external(name: string, weights: WeightPlaces): object {
  const place = weights.get(name);
  if (place === undefined) throw new FedLoraError("artifact-invalid", `the weights file has no tensor "${name}"`);
  const entry = (key: string, value: string | number): object => ({ key, value: String(value) });
  return {
    name,
    dims: place.shape,
    dataType: onnxElementType.float32,
    dataLocation: externalDataLocation,
    externalData: [
      entry("location", externalWeightsFile),
      entry("offset", place.offset),
      entry("length", place.length),
    ],
  };
}

function valueInfo(name: string, value: GraphValue | undefined): object {
  if (value === undefined) throw new FedLoraError("internal", `the graph has no value "${name}"`);
  const dim = value.shape.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType: onnxElementType[value.dtype], shape: { dim } } } };
}
