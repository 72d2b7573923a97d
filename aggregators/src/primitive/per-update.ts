import type { ClientId } from "@fedlora/core";
import type { AggregationPass, TensorGroup, UpdateView } from "../method.js";

/** What one update gave, for one group. */
export interface PerUpdate<Value> {
  readonly id: string;
  readonly clientId: ClientId;
  readonly weight: number;
  readonly value: Value;
}

/**
 * Measures every update with a weight above 0, group by group, for methods that decide from single updates. What is sealed
 * is in the order of the ids, so that float64 sums over it have the same bits for any order of arrival and any sharding.
 *
 * @param measure small: it is kept for every update until the last pass ends
 */
export function perUpdatePass<Value, Group extends TensorGroup>(
  name: string,
  groups: readonly Group[],
  measure: (update: UpdateView, group: Group) => Value,
): AggregationPass<{ list: PerUpdate<Value>[] }, readonly PerUpdate<Value>[]> {
  const known = new Map(groups.map((group) => [group.name, group]));
  return {
    name,
    groups,
    init: () => ({ list: [] }),
    fold(state, update, { name: module }) {
      const group = known.get(module);
      if (update.weight === 0 || group === undefined) return;
      const { id, clientId, weight } = update;
      state.list.push({ id, clientId, weight, value: measure(update, group) });
    },
    merge(into, other) {
      into.list.push(...other.list);
    },
    seal: ({ list }) => list.toSorted((x, y) => (x.id < y.id ? -1 : 1)),
    stateBytes: () => 4096,
  };
}
