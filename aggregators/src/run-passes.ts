import type { Aggregation, AggregationPass, AggregationResult, SealedPasses, TensorGroup, UpdateView } from "./method.js";

/** Calls `visit` once per update, in any order; views may share buffers. */
export type Sweep = (visit: (update: UpdateView) => void) => void;

/**
 * Accumulators under way at once. Small enough that they stay in the second cache (a fold is bound by memory), large
 * enough that a sweep reads long runs of each file.
 */
const defaultSpanBytes = 1024 * 1024;

/**
 * Runs an aggregation's passes over the updates, span by span: as many neighbouring groups as their states fit
 * `spanBytes` (at least one), one sweep over all updates for each span. Memory does not depend on the number of updates.
 */
export function runPasses(aggregation: Aggregation, sweep: Sweep, spanBytes = defaultSpanBytes): AggregationResult {
  let current = aggregation;
  for (;;) {
    const result = current.finish(sealPasses(current, sweep, spanBytes));
    if (result.kind !== "continue") return result;
    current = result.next;
  }
}

function sealPasses({ passes }: Aggregation, sweep: Sweep, spanBytes: number): SealedPasses {
  const sealed = new Map<string, ReadonlyMap<string, unknown>>();
  for (const pass of passes) {
    const results = new Map<string, unknown>();
    for (const span of spansOf(pass, spanBytes)) {
      const states = span.map((group) => ({ group, state: pass.init(group) }));
      sweep((update) => {
        for (const { group, state } of states) pass.fold(state, update, group);
      });
      for (const { group, state } of states) results.set(group.name, pass.seal(state, group));
    }
    sealed.set(pass.name, results);
  }
  return sealed;
}

function spansOf(pass: AggregationPass, spanBytes: number): TensorGroup[][] {
  const spans: TensorGroup[][] = [];
  let used = Infinity;
  for (const group of pass.groups) {
    const bytes = pass.stateBytes(group);
    if (used + bytes > spanBytes) {
      spans.push([]);
      used = 0;
    }
    spans.at(-1)?.push(group);
    used += bytes;
  }
  return spans;
}
