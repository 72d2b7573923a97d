import type { Example } from "@fedlora/client-sdk";
import { createHash } from "node:crypto";

/** Where a data set is from, for reports. */
export interface DataInfo {
  readonly name: string;
  /** npm package and version, a path, or what made it. */
  readonly source: string;
  readonly licence: string;
  /** SHA-256 of the examples as they are used, lower-case hex. */
  readonly sha256: string;
  readonly examples: number;
}

/**
 * Examples that are numbers, sparse: the features of row i are `indices` and `values` from `offsets[i]` to `offsets[i + 1]`.
 * Its arrays lie on shared memory, so that threads read one copy.
 */
export interface FeatureTable {
  readonly dim: number;
  readonly offsets: Int32Array;
  readonly indices: Uint16Array;
  readonly values: Float32Array;
  readonly labels: Int32Array;
}

/** A data set in memory; rows are numbered from 0. */
export interface SimulationData {
  readonly info: DataInfo;
  /** Undefined: texts to continue. */
  readonly labels: readonly string[] | undefined;
  readonly numRows: number;
  labelOf(row: number): number;
  /** Of data that are numbers the row's number stands for its text. */
  exampleOf(row: number): Example;
  readonly features: FeatureTable | undefined;
  readonly keys: ReadonlyMap<string, (row: number) => string>;
  readonly defaultKey: string | undefined;
}

export interface TextRow {
  readonly text: string;
  readonly label?: string | undefined;
  readonly keys: Readonly<Record<string, string>>;
}

/** Texts as a data set; labels are those that occur, in the order given or else sorted. */
export function textData(
  info: Omit<DataInfo, "sha256" | "examples">,
  rows: readonly TextRow[],
  options: { readonly labels?: readonly string[] | undefined; readonly defaultKey?: string | undefined } = {},
): SimulationData {
  const isLabelled = rows.some(({ label }) => label !== undefined);
  const labels = options.labels ?? [...new Set(rows.map(({ label }) => label ?? ""))].sort();
  const numbers = new Map(labels.map((label, index) => [label, index]));
  const labelOf = (row: number): number => numbers.get(rows[row]?.label ?? "") ?? 0;
  const hash = createHash("sha256");
  for (const { text, label } of rows) hash.update(JSON.stringify([text, label ?? null])).update("\n");
  const names = new Set(rows.flatMap(({ keys }) => Object.keys(keys)));
  return {
    info: { ...info, sha256: hash.digest("hex"), examples: rows.length },
    labels: isLabelled ? labels : undefined,
    numRows: rows.length,
    labelOf,
    exampleOf: (row) => {
      const { text = "", label } = rows[row] ?? {};
      return label === undefined ? { text } : { text, label };
    },
    features: undefined,
    keys: new Map([...names].sort().map((name) => [name, (row: number) => rows[row]?.keys[name] ?? ""])),
    defaultKey: options.defaultKey,
  };
}

/** Numbers as a data set. */
export function vectorData(
  info: Omit<DataInfo, "sha256" | "examples">,
  features: FeatureTable,
  labels: readonly string[],
): SimulationData {
  const { offsets, indices, values } = features;
  const hash = createHash("sha256");
  for (const part of [offsets, indices, values, features.labels]) {
    hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }
  return {
    ...vectorView(features),
    info: { ...info, sha256: hash.digest("hex"), examples: features.labels.length },
    labels,
  };
}

/** The same numbers in another thread, which knows no more of them. */
export function vectorView(features: FeatureTable): SimulationData {
  const labelOf = (row: number): number => features.labels[row] ?? 0;
  return {
    info: { name: "", source: "", licence: "", sha256: "", examples: features.labels.length },
    labels: undefined,
    numRows: features.labels.length,
    labelOf,
    exampleOf: (row) => ({ text: String(row), label: labelOf(row) }),
    features,
    keys: new Map(),
    defaultKey: undefined,
  };
}

/** Takes rows of numbers in; zeros are left out. */
export class FeatureTableBuilder {
  readonly #dim: number;
  readonly #offsets: number[] = [0];
  readonly #indices: number[] = [];
  readonly #values: number[] = [];
  readonly #labels: number[] = [];

  constructor(dim: number) {
    this.#dim = dim;
  }

  add(values: ArrayLike<number>, label: number): void {
    for (let index = 0; index < this.#dim; index += 1) {
      const value = values[index] ?? 0;
      if (value === 0) continue;
      this.#indices.push(index);
      this.#values.push(value);
    }
    this.#offsets.push(this.#indices.length);
    this.#labels.push(label);
  }

  build(): FeatureTable {
    const shared = <T extends Int32Array | Uint16Array | Float32Array>(array: T, from: readonly number[]): T => {
      array.set(from);
      return array;
    };
    const bytes = (count: number, size: number): SharedArrayBuffer => new SharedArrayBuffer(count * size);
    return {
      dim: this.#dim,
      offsets: shared(new Int32Array(bytes(this.#offsets.length, 4)), this.#offsets),
      indices: shared(new Uint16Array(bytes(this.#indices.length, 2)), this.#indices),
      values: shared(new Float32Array(bytes(this.#values.length, 4)), this.#values),
      labels: shared(new Int32Array(bytes(this.#labels.length, 4)), this.#labels),
    };
  }
}
