import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createClientHarness, type ClientHarness } from "./testing/client-harness.js";
import { FakeConnection } from "./testing/fake-connection.js";
import { fakeRole, filledState } from "./testing/fake-plan.js";
import { FakeTrainer } from "./testing/fake-trainer.js";

/** More than the calls of a round and its evaluation; the last ones never happen and end the test. */
const maxCalls = 100;

/** Small tensors: the point is the order of things on the disk. */
const openHarness = (): Promise<ClientHarness> =>
  createClientHarness({
    coordinator: { rounds: 1, evaluate: true, initial: filledState({ b: [-1, [4]] }) },
    instructions: { roles: [fakeRole("b", [4])] },
  });

/**
 * As kill -9 at the nth call, before it took effect or after: the folder is taken as it lies on the disk at this moment,
 * and the first client does nothing any more that the copy or the coordinator sees. Returns undefined when the run ends
 * before its nth call.
 */
async function killAtCall(harness: ClientHarness, n: number): Promise<string | undefined> {
  const copy = await mkdtemp(join(tmpdir(), "fedlora-crash-"));
  const kill = new AbortController();
  let calls = 0;
  harness.fake.onCall = async ({ method }) => {
    // Reports run beside the work, which would go on while the folder is copied.
    if (method === "report" || ++calls !== n) return;
    await cp(harness.folder, copy, { recursive: true, filter: (path) => !path.endsWith("lock") });
    kill.abort();
  };
  await harness.run({}, kill.signal);
  harness.fake.onCall = () => undefined;
  if (kill.signal.aborted) return copy;
  await rm(copy, { recursive: true, force: true });
  return undefined;
}

test("killed at any call of a run, the next start completes it and trains no finished update again", async () => {
  let kills = 0;
  for (let n = 1; n <= maxCalls; n++) {
    const harness = await openHarness();
    const folder = await killAtCall(harness, n);
    if (folder === undefined) {
      await harness.dispose();
      break;
    }
    kills++;
    const finished = harness.fake.accepted.length;
    const trainer = new FakeTrainer();

    await harness.run({ stateFolder: folder, transport: new FakeConnection(harness.fake), trainer });

    // One client took part all the time, and every plan was answered exactly once.
    const plans = harness.fake.accepted.map(({ planId }) => planId);
    expect(plans, `killed at call ${n}`).toHaveLength(2);
    expect(new Set(plans).size).toBe(2);
    expect(new Set(harness.fake.accepted.map(({ clientId }) => clientId)).size).toBe(1);
    expect(harness.fake.declined).toEqual([]);
    const trainedTwice = harness.trainer.trained.length + trainer.trained.length - 1;
    expect(trainedTwice, `killed at call ${n} with ${finished} accepted`).toBeLessThanOrEqual(1);
    await harness.dispose();
    await rm(folder, { recursive: true, force: true });
  }
  expect(kills).toBeGreaterThan(20);
  expect(kills).toBeLessThan(maxCalls);
}, 60_000);
