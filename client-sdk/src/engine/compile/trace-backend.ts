import * as tf from "@tensorflow/tfjs";
import { elementCount, FedLoraError } from "@fedlora/core";
import { Graph, int64Vector } from "./graph.js";
import type { AttributeValue, ElementType, GraphValue } from "./graph.js";

export const traceBackendName = "fedlora-trace";

/** Longest constant that differs from element to element: what is larger belongs in the weights file. */
const longestConstant = 65_536;

type ConstantArray = Float32Array | Int32Array | Uint8Array;

interface Constant extends GraphValue {
  readonly values: ConstantArray;
}

/** What stands for a tensor's data: the name of a graph value, or a constant that no node has needed yet. */
interface Handle {
  readonly content: { readonly name: string } | { readonly constant: Constant };
  references: number;
}

/**
 * A tfjs backend that computes nothing: its kernels append ONNX nodes to a graph. Calling a model and its gradient once
 * on it leaves forward and backward pass in the graph.
 */
export class TraceBackend extends tf.KernelBackend {
  #graph: Graph | undefined;

  get graph(): Graph {
    if (this.#graph === undefined) throw new FedLoraError("internal", "a tensor of a finished trace was used");
    return this.#graph;
  }

  /** Records what `body` does; nothing asynchronous can come between. */
  record(body: () => void): Graph {
    const graph = new Graph();
    this.#graph = graph;
    try {
      body();
    } finally {
      this.#graph = undefined;
    }
    return graph;
  }

  /** A tensor for a named value of the graph, an input or a weight. */
  tensor(name: string): tf.Tensor {
    const value = this.#valueOf(name);
    return tf.engine().makeTensorFromTensorInfo(this.info(name, value.shape, value.dtype));
  }

  /** The name of a tensor's value; a constant gets an initializer now. */
  nameOf(info: tf.TensorInfo): string {
    const { content } = handleOf(info);
    if ("name" in content) return content.name;
    const { constant } = content;
    if (!isUniform(constant.values)) return this.#initializer(constant, constant.shape);
    const scalar = this.#initializer(constant, []);
    if (constant.shape.length === 0) return scalar;
    const [name = ""] = this.graph.addNode("Expand", [scalar, this.ints(constant.shape)], [constant]);
    return name;
  }

  /** As `nameOf`, but a constant of equal elements stays a scalar: for an operand that broadcasts anyway. */
  broadcastName(info: tf.TensorInfo): string {
    const constant = this.constantOf(info);
    return constant !== undefined && isUniform(constant.values) ? this.#initializer(constant, []) : this.nameOf(info);
  }

  constantOf(info: tf.TensorInfo): Constant | undefined {
    const { content } = handleOf(info);
    return "constant" in content ? content.constant : undefined;
  }

  /** The one number that every element of a constant is, or undefined. */
  uniformOf(info: tf.TensorInfo): number | undefined {
    const values = this.constantOf(info)?.values;
    return values !== undefined && values.length > 0 && isUniform(values) ? values[0] : undefined;
  }

  /** An int64 initializer holding a shape or axes. */
  ints(values: readonly number[]): string {
    return this.graph.addInitializer(int64Vector(values));
  }

  /** Appends a node with one output. */
  emit(
    op: string,
    inputs: readonly string[],
    output: { readonly shape: readonly number[]; readonly dtype: tf.DataType },
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): tf.TensorInfo {
    const value = { shape: output.shape, dtype: elementType(output.dtype) };
    const [name = ""] = this.graph.addNode(op, inputs, [value], attributes);
    return this.info(name, output.shape, output.dtype);
  }

  /** A tensor description for a value that a node has produced. */
  info(name: string, shape: readonly number[], dtype: tf.DataType | ElementType): tf.TensorInfo {
    const handle: Handle = { content: { name }, references: 1 };
    return { dataId: handle, shape: [...shape], dtype: dtype as tf.DataType };
  }

  /** The same data once more. */
  alias(info: tf.TensorInfo): tf.TensorInfo {
    handleOf(info).references += 1;
    return { dataId: info.dataId, shape: info.shape, dtype: info.dtype };
  }

  constant(values: ConstantArray, shape: readonly number[], dtype: tf.DataType): tf.TensorInfo {
    const constant = { values, shape: [...shape], dtype: elementType(dtype) };
    const handle: Handle = { content: { constant }, references: 1 };
    return { dataId: handle, shape: [...shape], dtype };
  }

  /** `length` may be far larger than memory: one value stands for all. */
  uniform(value: number, shape: readonly number[], dtype: tf.DataType): tf.TensorInfo {
    return this.constant(elementCount(shape) === 0 ? new Float32Array() : typed([value], dtype), shape, dtype);
  }

  override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): object {
    if (!(values instanceof Float32Array || values instanceof Int32Array || values instanceof Uint8Array)) {
      throw new FedLoraError("internal", `a traced model made a constant of type ${dtype}`);
    }
    return this.constant(values, shape, dtype).dataId;
  }

  override move(): never {
    throw new FedLoraError(
      "internal",
      "a traced model used a tensor of another backend; declare it as input or weight",
    );
  }

  override readSync(): never {
    throw new FedLoraError("internal", "a model read a tensor's values while it was traced; they do not exist yet");
  }

  override read(): Promise<never> {
    return Promise.reject(new FedLoraError("internal", "a model read a tensor's values while it was traced"));
  }

  override disposeData(dataId: object): boolean {
    const handle = dataId as Handle;
    handle.references -= 1;
    return handle.references <= 0;
  }

  override incRef(dataId: object): void {
    (dataId as Handle).references += 1;
  }

  override refCount(dataId: object): number {
    return (dataId as Handle).references;
  }

  override numDataIds(): number {
    return 0;
  }

  override floatPrecision(): 16 | 32 {
    return 32;
  }

  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }

  override dispose(): void {
    this.#graph = undefined;
  }

  #valueOf(name: string): GraphValue {
    const value = this.graph.values.get(name);
    if (value === undefined) throw new FedLoraError("internal", `the graph has no value "${name}"`);
    return value;
  }

  #initializer(constant: Constant, shape: readonly number[]): string {
    const { dtype, values } = constant;
    const kept = shape.length === 0 ? values.slice(0, 1) : values;
    if (kept.length > longestConstant) {
      throw new FedLoraError(
        "internal",
        `a traced model made a constant of shape [${shape.join(", ")}]; constants hold at most ${longestConstant} ` +
          `different elements, larger ones belong in the weights file`,
      );
    }
    const bytes = new Uint8Array(kept.buffer, kept.byteOffset, kept.byteLength).slice();
    return this.graph.addInitializer({ dtype, shape, bytes });
  }
}

function handleOf(info: tf.TensorInfo): Handle {
  return info.dataId as Handle;
}

function isUniform(values: ConstantArray): boolean {
  const first = values[0];
  return values.every((value) => value === first);
}

function typed(values: readonly number[], dtype: tf.DataType): ConstantArray {
  if (dtype === "int32") return Int32Array.from(values);
  return dtype === "bool" ? Uint8Array.from(values) : Float32Array.from(values);
}

function elementType(dtype: tf.DataType): ElementType {
  if (dtype === "float32" || dtype === "int32" || dtype === "bool") return dtype;
  throw new FedLoraError("internal", `a traced model used the element type ${dtype}`);
}
