import type { RunId } from "@fedlora/core";
import { noCapability } from "@fedlora/proto";
import { expect, test } from "vitest";

import { foldCapacity } from "./capacity.js";

const runId = "run" as RunId;
const context = { runId, smoothing: 0.75, batchTokens: 1024 };
const times = { forwardMs: 8, layerMs: 2, batchTokens: 256, forwardBytes: 100, layerBytes: 10 };
const report = (changes: object = {}, more: object = {}) => ({
  ...noCapability,
  stepTimes: { ...times, runId: undefined, ...changes },
  ...more,
});

test("nothing measured, nothing known", () => {
  expect(foldCapacity(undefined, noCapability, context)).toBeUndefined();
});

test("a probe's times are scaled to the run's batch, until the run itself was measured", () => {
  const seed = foldCapacity(undefined, report({}, { memoryBytes: 5000 }), context);
  expect(seed).toMatchObject({ forwardMs: 32, layerMs: 8, uploadMsPerByte: null, memoryBytes: 5000, isOwn: false });
  const other = foldCapacity(seed, report({ runId: "other", forwardMs: 16 }), context);
  expect(other).toMatchObject({ forwardMs: 0.75 * 32 + 0.25 * 64, isOwn: false });
  const own = foldCapacity(other, report({ runId, forwardMs: 20, layerMs: 3 }), context);
  expect(own).toMatchObject({ forwardMs: 20, layerMs: 3, isOwn: true });
  expect(foldCapacity(own, report(), context)).toBe(own);
});

test("own rounds are averaged, time per byte and not bytes per time", () => {
  const first = foldCapacity(undefined, report({ runId }, { uploadBytesPerSecond: 1000 }), context);
  const second = foldCapacity(
    { ...first!, batches: 7 },
    report({ runId, forwardMs: 16, layerMs: 6 }, { uploadBytesPerSecond: 500 }),
    context,
  );
  expect(second).toMatchObject({ forwardMs: 10, layerMs: 3, batches: 7 });
  expect(second?.uploadMsPerByte).toBeCloseTo(0.75 * 1 + 0.25 * 2, 12);
});
