import { clientControlName, elementCount, FedLoraError, fromFloat32, shapesEqual, toFloat32 } from "@fedlora/core";
import type { StateDict, Tensor, TensorLayout, TensorSpec } from "@fedlora/core";
import type { AggregationPass, UpdateView } from "../method.js";
import { adapterGroups } from "../primitive/adapter-groups.js";
import { ExactSum } from "../primitive/exact-sum.js";
import { ExactTotal } from "../primitive/exact-total.js";

/** What one module's tensors give. */
export interface ControlSum {
  /** Clients whose updates were folded. */
  readonly clients: readonly string[];
  /** By the name in the run state: what it was plus the changes of all clients' controls. */
  readonly tensors: StateDict;
}

interface ControlSumState {
  readonly clients: Set<string>;
  readonly sums: Map<string, ExactSum>;
}

/**
 * Sums the changes of the clients' controls, each with weight 1, exactly. Updates without weight count for nothing, a
 * control of a lower rank adds to the leading rows and columns; tensors that no update holds are left out.
 *
 * @param before the sums so far, by `stateName`
 */
export function controlSumPass(
  name: string,
  layout: TensorLayout,
  before: StateDict,
  stateName: (tensor: string) => string,
): AggregationPass<ControlSumState, ControlSum> {
  return {
    name,
    groups: adapterGroups(layout),
    init: () => ({ clients: new Set(), sums: new Map() }),
    fold(state, update, { tensors }) {
      if (update.weight === 0) return;
      for (const spec of tensors) {
        const shape = update.shape(clientControlName(spec.name));
        if (shape === undefined) continue;
        state.clients.add(update.clientId);
        const sum = state.sums.get(spec.name) ?? new ExactSum(elementCount(spec.shape));
        state.sums.set(spec.name, sum);
        addControl(sum, update, spec, shape);
      }
    },
    merge(into, other) {
      for (const client of other.clients) into.clients.add(client);
      for (const [tensor, sum] of other.sums) {
        const present = into.sums.get(tensor);
        if (present === undefined) into.sums.set(tensor, sum);
        else present.merge(sum);
      }
    },
    seal({ clients, sums }, { tensors }) {
      const one = new ExactTotal();
      one.add(1);
      const next = tensors.flatMap(({ name: tensor, shape }): [string, Tensor][] => {
        const key = stateName(tensor);
        const base = before.get(key);
        const values = sums.get(tensor)?.takeMean(one, base && toFloat32(base));
        return values === undefined ? [] : [[key, fromFloat32(values, shape)]];
      });
      return { clients: [...clients], tensors: new Map(next) };
    },
    stateBytes: ({ tensors }) => tensors.reduce((bytes, { shape }) => bytes + 16 * elementCount(shape), 0),
  };
}

function addControl(sum: ExactSum, update: UpdateView, spec: TensorSpec, shape: readonly number[]): void {
  const tensor = clientControlName(spec.name);
  try {
    sum.add(atFullRank(update.tensor(tensor), shape, spec.shape), 1);
  } catch (thrown) {
    const error = FedLoraError.from(thrown);
    throw new FedLoraError(error.code, `update "${update.id}", tensor "${tensor}": ${error.message}`, {
      details: { ...error.details, updateId: update.id, tensor },
      cause: error,
    });
  }
}

/** Zeros where a client of a lower rank has no values. */
function atFullRank(values: Float32Array, shape: readonly number[], full: readonly number[]): Float32Array {
  if (shapesEqual(shape, full)) return values;
  const [rows = 1, columns = 1] = shape;
  const [fullRows = 1, fullColumns = 1] = full;
  if (shape.length !== full.length || rows > fullRows || columns > fullColumns) {
    throw new FedLoraError("update-shape", `shape [${shape.join(", ")}] is not within [${full.join(", ")}]`);
  }
  const out = new Float32Array(elementCount(full));
  for (let row = 0; row < rows; row++) {
    out.set(values.subarray(row * columns, (row + 1) * columns), row * fullColumns);
  }
  return out;
}
