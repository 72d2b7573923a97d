/** Element types of the graphs we write, as tfjs names them; `int64` occurs only in constants that ONNX demands. */
export type ElementType = "float32" | "int32" | "bool" | "int64";

export interface GraphValue {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
}

export type AttributeValue =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly string: string };

export interface GraphNode {
  readonly op: string;
  /** Names of values; an empty name is an optional input left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

export interface Initializer extends GraphValue {
  /** Little-endian, row-major. */
  readonly bytes: Uint8Array;
}

/** A computation under construction: nodes in the order in which they can run, values by name. */
export class Graph {
  readonly nodes: GraphNode[] = [];
  readonly values = new Map<string, GraphValue>();
  readonly initializers = new Map<string, Initializer>();
  /** Fed from outside, in the order of declaration. */
  readonly inputs: string[] = [];
  /** Read from the weights file: names of values that are names of tensors, too. */
  readonly weights = new Set<string>();
  #count = 0;
  readonly #initializerByContent = new Map<string, string>();

  addInput(name: string, value: GraphValue): void {
    this.inputs.push(name);
    this.values.set(name, value);
  }

  addWeight(name: string, shape: readonly number[]): void {
    this.weights.add(name);
    this.values.set(name, { dtype: "float32", shape });
  }

  /** Equal constants share one initializer. */
  addInitializer(initializer: Initializer): string {
    const { dtype, shape, bytes } = initializer;
    const content = `${dtype}[${shape.join(",")}]${Buffer.from(bytes).toString("base64")}`;
    const known = this.#initializerByContent.get(content);
    if (known !== undefined) return known;
    const name = `c${this.#initializerByContent.size}`;
    this.#initializerByContent.set(content, name);
    this.initializers.set(name, initializer);
    this.values.set(name, { dtype, shape });
    return name;
  }

  /** Appends a node and returns the names of its outputs, one per value. */
  addNode(
    op: string,
    inputs: readonly string[],
    outputs: readonly GraphValue[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): string[] {
    const names = outputs.map((value) => {
      const name = `v${this.#count++}`;
      this.values.set(name, value);
      return name;
    });
    this.nodes.push({ op, inputs, outputs: names, attributes });
    return names;
  }
}

/** A one-dimensional int64 constant, as ONNX takes shapes and axes. */
export function int64Vector(values: readonly number[]): Initializer {
  const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return { dtype: "int64", shape: [values.length], bytes };
}
