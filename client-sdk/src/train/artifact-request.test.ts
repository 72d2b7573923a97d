import fc from "fast-check";
import { expect, test } from "vitest";
import type { ArtifactRequest } from "../engine/artifact.js";
import { createGraphs, graphRank } from "./artifact-request.js";

test.each([
  [8, 8, 8],
  [1, 8, 4],
  [5, 8, 8],
  [5, 6, 6],
  [3, 64, 4],
  [9, 64, 16],
  [17, 64, 32],
  [33, 48, 48],
  [100, 256, 128],
  [2, 3, 3],
  [3, 3, 3],
])("rank %i of %i is %i in the graph", (rank, full, expected) => {
  expect(graphRank(rank, full)).toBe(expected);
});

test("whatever ranks a planner gives, a depth asks for few graphs, and none of a higher rank than the run's", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), (full) => {
      const ranks = new Set(Array.from({ length: full }, (_, index) => graphRank(index + 1, full)));
      expect(ranks.size).toBeLessThanOrEqual(5);
      expect(Math.max(...ranks)).toBe(full);
    }),
  );
});

async function keyOf(ranks: readonly number[], fullRanks?: Readonly<Record<string, number>>): Promise<string> {
  const requests: ArtifactRequest[] = [];
  const graphs = createGraphs(
    {
      baseModel: { manifest: {} as never, family: { name: "bert" } as never, configJson: {} },
      purpose: "train",
      task: { kind: "causal-lm", maxTokens: 8, maskPrompt: true },
      adapter: {
        adapted: ranks.map((rank, index) => ({ name: `m${index}`, rank, trained: true })),
        modulesToSave: [],
        ...(fullRanks && { fullRanks }),
      },
      batch: 1,
    },
    (request) => {
      requests.push(request);
      return Promise.resolve({} as never);
    },
  );
  await graphs(8);
  return JSON.stringify(requests);
}

test("plans of like ranks share a graph; where no run's ranks are given, ranks stay", async () => {
  const full = { m0: 16, m1: 16 };
  expect(await keyOf([5, 3], full)).toBe(await keyOf([8, 4], full));
  expect(await keyOf([5, 3], full)).not.toBe(await keyOf([9, 3], full));
  expect(await keyOf([5, 3])).toContain('"rank":5');
});
