import { FedLoraError } from "../errors.js";
import { elementCount } from "../tensor/tensor.js";
import type { TensorLayout } from "../tensor/tensor.js";
import type { EncodedRead, UpdateDecoder } from "./codec.js";
import { chooseCoding, valuesName } from "./index-coding.js";
import { indexReader } from "./index-reader.js";
import type { IndexReader } from "./index-reader.js";
import { Scratch } from "./scratch.js";

/** Where a tensor lies among all values. */
interface Place {
  readonly position: number;
  readonly start: number;
  readonly count: number;
}

/** Where each tensor's first value is: how many values come before it, and the reader's place there. */
interface Directory {
  readonly entries: Uint32Array;
  readonly units: Uint32Array;
  readonly froms: Uint32Array;
}

/**
 * Decodes what `topkCodec` encodes. Opening an update reads its indices once, checks them all, and notes where each tensor
 * begins; after that a tensor is read alone. Memory: the largest tensor, and three numbers per tensor and opened update.
 *
 * @param layout in canonical order, of n values
 */
export function sparseDecoder(layout: TensorLayout, n: number, k: number): UpdateDecoder {
  const { coding, spec } = chooseCoding(n, k);
  const reader = indexReader(coding, spec, n, k);
  const places = new Map<string, Place>();
  const starts: number[] = [];
  let start = 0;
  for (const { name, shape } of layout) {
    const count = elementCount(shape);
    places.set(name, { position: starts.length, start, count });
    starts.push(start);
    start += count;
  }
  const decoded = new Scratch();
  const kept = new Scratch();
  /** Of the update that the reader is attached to. */
  let current: Directory | undefined;
  const sources = [spec.name, valuesName].sort();

  const decode = (read: EncodedRead, directory: Directory, { position, start: first, count }: Place): Float32Array => {
    const { entries, units, froms } = directory;
    const entry = entries[position] ?? 0;
    const length = (entries[position + 1] ?? 0) - entry;
    const values = decoded.take(count).fill(0);
    if (length === 0) return values;
    const own = kept.take(length);
    new Uint8Array(own.buffer).set(read(valuesName, entry, entry + length));
    if (current !== directory) {
      reader.attach(read);
      current = directory;
    }
    reader.seek(units[position] ?? 0, froms[position] ?? 0);
    reader.scatter(own, values, first);
    return values;
  };

  return {
    sources: () => sources,
    open: function* (read) {
      current = undefined;
      reader.attach(read);
      const directory = yield* readDirectory(reader, [...starts, n], k);
      return (name) => {
        const place = places.get(name);
        if (place === undefined) throw new FedLoraError("tensor-invalid", `tensor "${name}" is not of the layout`);
        return decode(read, directory, place);
      };
    },
  };
}

/** Indices between two pauses; about a millisecond. */
const stepEntries = 2 ** 16;

/** @param starts where each tensor begins, and where the last one ends */
function* readDirectory(
  reader: IndexReader,
  starts: readonly number[],
  k: number,
): Generator<undefined, Directory, undefined> {
  const size = starts.length;
  const directory = { entries: new Uint32Array(size), units: new Uint32Array(size), froms: new Uint32Array(size) };
  let entry = 0;
  for (let position = 0; position < size; position += 1) {
    directory.entries[position] = entry;
    directory.units[position] = reader.unit;
    directory.froms[position] = reader.from;
    const end = starts[position + 1];
    for (let passed = stepEntries; end !== undefined && passed === stepEntries;) {
      passed = reader.pass(end, k - entry, stepEntries);
      entry += passed;
      yield undefined;
    }
  }
  reader.assertEnd();
  return directory;
}
