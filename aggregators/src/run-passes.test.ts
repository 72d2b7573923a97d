import { expect, test } from "vitest";
import type { AggregationPass, TensorGroup, UpdateView } from "./method.js";
import { runPasses } from "./run-passes.js";

const groups: TensorGroup[] = ["a", "b", "c", "d", "e"].map((name) => ({ name, tensors: [] }));
const updates = ["1", "2", "3"].map((id) => ({ id }) as UpdateView);

/** Records what a pass is asked to do, group by group. */
function recordingPass(bytes: Record<string, number>): AggregationPass<string[], string> {
  return {
    name: "record",
    groups,
    init: ({ name }) => [name],
    fold: (state, { id }) => void state.push(id),
    merge: () => undefined,
    seal: (state) => state.join(""),
    stateBytes: ({ name }) => bytes[name] ?? 0,
  };
}

test.each([
  [1000, 1],
  [30, 2],
  [20, 3],
  [1, 5],
])("with %d bytes for states of 10, every group folds every update once, in %d sweeps", (spanBytes, sweeps) => {
  let count = 0;
  const pass = recordingPass({ a: 10, b: 10, c: 10, d: 10, e: 10 });
  const sealed: Record<string, unknown> = {};
  runPasses(
    {
      passes: [pass],
      finish: (passes) => {
        Object.assign(sealed, Object.fromEntries(passes.get("record") ?? []));
        return { kind: "refused", code: "round-failed", message: "" };
      },
    },
    (visit) => {
      count += 1;
      updates.forEach(visit);
    },
    spanBytes,
  );
  expect(sealed).toEqual({ a: "a123", b: "b123", c: "c123", d: "d123", e: "e123" });
  expect(count).toBe(sweeps);
});

test("passes run one after the other and finish sees them by name", () => {
  const result = runPasses(
    {
      passes: [recordingPass({}), { ...recordingPass({}), name: "again", groups: groups.slice(0, 1) }],
      finish: (sealed) => ({
        kind: "refused",
        code: "round-failed",
        message: [...sealed].map(([name, results]) => `${name}:${results.size}`).join(" "),
      }),
    },
    (visit) => updates.forEach(visit),
  );
  expect(result).toMatchObject({ message: "record:5 again:1" });
});
