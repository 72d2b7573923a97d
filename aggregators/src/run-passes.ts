import type {
  Aggregation,
  AggregationPass,
  AggregationResult,
  SealedPasses,
  TensorGroup,
  UpdateView,
} from "./method.js";

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
    let taken = 0;
    const result = current.finish(sealSpans(current, sweep, () => taken++, spanBytes));
    if (result.kind !== "continue") return result;
    current = result.next;
  }
}

/**
 * Seals those spans of an aggregation's passes that `next` hands out, by number, until there are no more. Callers that
 * share one source of numbers share the work; `joinSealed` puts together what they sealed.
 *
 * @param next 0, 1, 2, ... each to one caller only, ascending for every caller
 */
export function sealSpans(
  { passes }: Pick<Aggregation, "passes">,
  sweep: Sweep,
  next: () => number,
  spanBytes = defaultSpanBytes,
): SealedPasses {
  const spans = passes.flatMap((pass) => spansOf(pass, spanBytes).map((groups) => ({ pass, groups })));
  const sealed = new Map(passes.map(({ name }) => [name, new Map<string, unknown>()]));
  for (;;) {
    const span = spans[next()];
    if (span === undefined) return sealed;
    const { pass, groups } = span;
    const states = groups.map((group) => ({ group, state: pass.init(group) }));
    sweep((update) => {
      for (const { group, state } of states) pass.fold(state, update, group);
    });
    for (const { group, state } of states) sealed.get(pass.name)?.set(group.name, pass.seal(state, group));
  }
}

/** What several callers of `sealSpans` sealed, in the order of the passes and their groups, as if one had done it all. */
export function joinSealed({ passes }: Aggregation, parts: readonly SealedPasses[]): SealedPasses {
  return new Map(
    passes.map(({ name, groups }) => {
      const owners = parts.map((part) => part.get(name));
      const inOrder = groups.flatMap((group): [string, unknown][] => {
        const owner = owners.find((sealed) => sealed?.has(group.name));
        return owner === undefined ? [] : [[group.name, owner.get(group.name)]];
      });
      return [name, new Map(inOrder)];
    }),
  );
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
