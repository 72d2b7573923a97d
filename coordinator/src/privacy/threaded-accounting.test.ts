import { afterAll, expect, test } from "vitest";

import { testSpec } from "../testing/federation.js";
import { expectCode } from "../testing/storage-contract.js";
import { inlineAccounting } from "./accounting.js";
import { ThreadedAccounting } from "./threaded-accounting.js";

const accounting = new ThreadedAccounting();
afterAll(() => accounting.close());

const spec = testSpec({ privacy: { mode: "local", delta: 1e-5, clipNorm: 1, epsilon: 4 } });
const question = {
  accountant: "pld",
  delta: 1e-5,
  events: [{ mechanism: { kind: "sampled-gaussian", noiseMultiplier: 1, samplingRate: 0.2 }, count: 10 }],
} as const;

test("a thread answers as this one does, to several questions at once", async () => {
  const [bound, noise] = await Promise.all([accounting.bound(question), accounting.noise(spec)]);
  expect(bound).toEqual(await inlineAccounting.bound(question));
  expect(noise).toEqual(await inlineAccounting.noise(spec));
  expect(noise).toMatchObject({ isNoiseSolved: true });
});

test("errors keep their code across the thread, and what waits for a closed one is told", async () => {
  await expectCode("privacy-invalid", accounting.bound({ ...question, delta: 2 }));
  const other = new ThreadedAccounting();
  const waiting = other.bound(question);
  await Promise.all([expectCode("cancelled", waiting), other.close()]);
});
