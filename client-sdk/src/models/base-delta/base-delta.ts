import {
  type AdaptableModule,
  baseDeltaKeys,
  type DType,
  FedLoraError,
  type ModelManifest,
  shapesEqual,
  type StateDict,
} from "@fedlora/core";
import { openTensorSource, type TensorSource } from "./tensor-source.js";

/** One change to the frozen weights, as methods such as FedEx-LoRA and FLoRA make it every round. */
export interface BaseDelta {
  /** Content hash of its file (64 hex digits): names what it leads to in caches. */
  readonly id: string;
  /**
   * Its tensors under the names of `baseDeltaKeys`, or the path of a safetensors file with them; F32, F16 or BF16.
   * Undefined where `heldBaseDeltas` of the trainer said that they are not needed.
   */
  readonly source: StateDict | string | undefined;
}

/** W += b a with a [rank, dIn] and b [dOut, rank], row by row. */
export interface DeltaFactors {
  readonly rank: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
}

const valueDtypes: ReadonlySet<DType> = new Set<DType>(["F32", "F16", "BF16"]);

/** A base delta whose names and shapes were checked against the model. Close it. */
export class OpenBaseDelta {
  readonly id: string;
  /** Rank of the change by module; Infinity where it is a dense matrix. */
  readonly ranks: ReadonlyMap<string, number>;
  readonly #source: TensorSource;

  private constructor(id: string, ranks: ReadonlyMap<string, number>, source: TensorSource) {
    this.id = id;
    this.ranks = ranks;
    this.#source = source;
  }

  /**
   * @throws FedLoraError `adapter-invalid` naming the tensor that the model has no place for, `file-missing`,
   *   `safetensors-invalid`
   */
  static async open({ id, source }: BaseDelta, manifest: Pick<ModelManifest, "modules">): Promise<OpenBaseDelta> {
    if (source === undefined) throw new FedLoraError("file-missing", `base delta ${id} is not on this machine`);
    const tensors = await openTensorSource(source);
    try {
      return new OpenBaseDelta(id, readRanks(tensors, manifest.modules), tensors);
    } catch (error) {
      await tensors.close();
      throw error;
    }
  }

  /** The largest rank of any module. */
  get rank(): number {
    return Math.max(0, ...this.ranks.values());
  }

  /** @throws FedLoraError `adapter-invalid` for a value that is not finite */
  async factors({ name, dIn, dOut }: AdaptableModule): Promise<DeltaFactors> {
    const rank = this.ranks.get(name) ?? 0;
    const keys = baseDeltaKeys(name);
    const read = async (key: string, count: number): Promise<Float32Array> => {
      if (rank === 0) return new Float32Array(0);
      const values = await this.#source.read(key, 0, count);
      if (!values.every(Number.isFinite)) throw invalid(key, "holds a value that is not finite");
      return values;
    };
    return { rank, a: await read(keys.a, rank * dIn), b: await read(keys.b, dOut * rank) };
  }

  /** Rows of a dense change, from `row` on. */
  denseRows({ name, dIn }: AdaptableModule, row: number, count: number): Promise<Float32Array> {
    return this.#source.read(baseDeltaKeys(name).dense, row * dIn, count * dIn);
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

function readRanks({ layout }: TensorSource, modules: readonly AdaptableModule[]): ReadonlyMap<string, number> {
  const left = new Set(layout.keys());
  const ranks = new Map<string, number>();
  const shapeOf = (key: string): readonly number[] | undefined => {
    const tensor = layout.get(key);
    left.delete(key);
    if (tensor !== undefined && !valueDtypes.has(tensor.dtype)) {
      throw invalid(key, `is ${tensor.dtype}; base deltas are F32, F16 or BF16`);
    }
    return tensor?.shape;
  };
  for (const { name, dIn, dOut } of modules) {
    const keys = baseDeltaKeys(name);
    const [a, b, dense] = [shapeOf(keys.a), shapeOf(keys.b), shapeOf(keys.dense)];
    if (dense !== undefined) {
      if (a !== undefined || b !== undefined) throw invalid(keys.dense, "comes together with factors");
      assertShape(keys.dense, dense, [dOut, dIn]);
      ranks.set(name, Number.POSITIVE_INFINITY);
    } else if (a !== undefined || b !== undefined) {
      const rank = a?.[0] ?? b?.[1] ?? 0;
      assertShape(keys.a, a, [rank, dIn]);
      assertShape(keys.b, b, [dOut, rank]);
      ranks.set(name, rank);
    }
  }
  const [unexpected] = left;
  if (unexpected !== undefined) throw invalid(unexpected, "belongs to no linear module of the base model");
  return ranks;
}

function assertShape(key: string, shape: readonly number[] | undefined, expected: readonly number[]): void {
  if (shape === undefined) throw invalid(key, "is missing");
  if (shapesEqual(shape, expected)) return;
  throw invalid(key, `has shape [${shape.join(", ")}], the model asks for [${expected.join(", ")}]`);
}

function invalid(tensor: string, problem: string): FedLoraError {
  return new FedLoraError("adapter-invalid", `base delta: "${tensor}" ${problem}`, { details: { tensor } });
}
