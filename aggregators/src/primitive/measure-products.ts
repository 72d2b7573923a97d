import { FedLoraError } from "@fedlora/core";
import type { StateDict } from "@fedlora/core";
import type { UpdateView } from "../method.js";
import type { AdapterGroup } from "./adapter-groups.js";
import { stackedProductNorms } from "./gram.js";
import { heldBlock } from "./held-block.js";

/** What HetLoRA needs to know of one client's module. */
export interface MeasuredProduct {
  readonly rank: number;
  /** || s B A ||_F^2 after training. */
  readonly squaredNorm: number;
  /** || B[:, t:] ||_F || A[t:, :] ||_F with t = floor(gamma rank), of what was downloaded and after training. */
  readonly tailBefore: number;
  readonly tailAfter: number;
}

const absent: MeasuredProduct = { rank: 0, squaredNorm: 0, tailBefore: 0, tailAfter: 0 };

/** Measures one module of one update of deltas, in float64; zeros where the client does not hold the module. */
export function measureProducts(
  global: StateDict,
  gamma: number,
  scalingOf: (module: string) => number,
): (update: UpdateView, group: AdapterGroup) => MeasuredProduct {
  return (update, { name, factors }) => {
    if (factors === undefined) throw new FedLoraError("internal", `group "${name}" has no factors`);
    if (update.shape(factors.a.name) === undefined && update.shape(factors.b.name) === undefined) return absent;
    const a = heldBlock(update, factors.a, global);
    const b = heldBlock(update, factors.b, global);
    const [rank = 0, dIn = 0] = a.shape;
    const [dOut = 0, columns = 0] = b.shape;
    if (rank !== columns) {
      const message = `update "${update.id}": lora_A of "${name}" has rank ${rank}, lora_B ${columns}`;
      throw new FedLoraError("update-shape", message, { details: { updateId: update.id, tensor: factors.b.name } });
    }
    const { all } = stackedProductNorms([Float64Array.from(a.after)], [Float64Array.from(b.after)], {
      rank,
      dIn,
      dOut,
    });
    const tail = Math.floor(gamma * rank);
    const tailOf = (rows: Float32Array, columnsOf: Float32Array): number =>
      Math.sqrt(squaresOf(rows, dIn, tail, 0) * squaresOf(columnsOf, rank, 0, tail));
    const scaling = scalingOf(name.replace(/^base_model\.model\./, ""));
    return {
      rank,
      squaredNorm: scaling ** 2 * all,
      tailBefore: tailOf(a.before, b.before),
      tailAfter: tailOf(a.after, b.after),
    };
  };
}

/** Over the rows and columns from the given ones on. */
function squaresOf(values: Float32Array, width: number, fromRow: number, fromColumn: number): number {
  let sum = 0;
  for (let start = fromRow * width; start < values.length; start += width) {
    for (let i = start + fromColumn; i < start + width; i++) sum += (values[i] ?? 0) ** 2;
  }
  return sum;
}
