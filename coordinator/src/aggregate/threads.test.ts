import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileMethod } from "@fedlora/aggregators";
import { testSpec } from "@fedlora/aggregators/testing";
import { blobIdOf, canonicalLayout, elementCount, fromFloat32, toStateDict, writeSafetensors } from "@fedlora/core";
import type { ClientId, StateDict } from "@fedlora/core";
import { nodeSha256 } from "@fedlora/core/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { aggregateRound } from "./aggregate-round.js";
import type { AggregationJob, AggregationOutcome, BlobFile } from "./aggregation.js";
import { AggregationPool } from "./pool.js";

/** Modules of 66,048 values: each is a span of its own, and there are more of them than threads. */
const layout = canonicalLayout(
  Array.from({ length: 5 }, (_, k) => `base_model.model.layer.${k}.query`).flatMap((name) => [
    { name: `${name}.lora_A.weight`, dtype: "F32", shape: [4, 8256] },
    { name: `${name}.lora_B.weight`, dtype: "F32", shape: [8256, 4] },
  ]),
);

let folder = "";
let global: BlobFile;
let updates: AggregationJob["updates"];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-threads-"));
  global = await store(writeSafetensors(tensors(0)));
  updates = await Promise.all(
    [1, 2, 3].map(async (k) => ({
      ...(await store(writeSafetensors(tensors(k)))),
      ...{ id: `plan-${k}`, clientId: `client-${k}` as ClientId, weight: k, fullWeight: k, numExamples: k },
      ...{ layout, codec: "f32", numSteps: 1, staleness: 0, receivedLoss: k / 2 },
    })),
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function tensors(seed: number): StateDict {
  return toStateDict(
    layout.map(({ name, shape }, t) => {
      const values = new Float32Array(elementCount(shape));
      for (let i = 0; i < values.length; i++) values[i] = Math.sin(seed * 31 + t * 7 + i * i);
      return [name, fromFloat32(values, shape)];
    }),
  );
}

async function store(bytes: Uint8Array): Promise<BlobFile> {
  const blobId = blobIdOf(bytes, nodeSha256);
  const path = join(folder, blobId);
  await writeFile(path, bytes);
  return { blobId, path };
}

function makeJob(name: string, options: Record<string, unknown> = {}): AggregationJob {
  const spec = testSpec({ adapter: { rank: 4, targetModules: ["query"] }, method: { name, options } });
  const run = { spec, adapterLayout: layout, scalings: { "layer.1.query": 2 } };
  const method = compileMethod(run);
  const state = method.initialState();
  const deltaPath = join(folder, `delta-${name}`);
  return { ...run, round: 1, phase: method.phase(state, 1), state, global, baseVersion: 0, updates, deltaPath };
}

/** Arrays of a million bytes take seconds to compare one by one. */
const withHash = (outcome: AggregationOutcome) =>
  outcome.kind === "refused" ? outcome : { ...outcome, global: blobIdOf(outcome.global, nodeSha256) };

describe("one aggregation in several threads", () => {
  // One pool for all: starting threads is most of what these tests cost.
  let pool: AggregationPool;
  beforeAll(() => {
    pool = new AggregationPool({ threadsPerJob: 2, leastShared: 0 });
  });
  afterAll(() => pool.close());

  test("gives the bits of this thread alone: adapter, metrics, and base delta", async () => {
    // One pass; more passes that depend on the first ones; a file that all threads write to, factored.
    for (const name of ["ffa-lora", "fedavg", "fedex-lora"]) {
      const [one, two] = [1, 2].map((threads) => ({ ...makeJob(name), deltaPath: join(folder, `${name}-${threads}`) }));
      const expected = withHash(aggregateRound(one!));
      const outcome = withHash(await pool.run(two!));

      expect(outcome).toEqual(expected);
      expect(outcome).toMatchObject({
        kind: "adapter",
        baseDelta: name === "fedex-lora" ? { toVersion: 1 } : undefined,
      });
      if (name !== "fedex-lora") continue;
      const [own, shared] = await Promise.all([readFile(one!.deltaPath), readFile(two!.deltaPath)]);
      expect(Buffer.compare(own, shared)).toBe(0);
    }
  }, 120_000);

  test("reports the error of the earliest update, and the next job runs", async () => {
    const job = makeJob("ffa-lora");
    const bytes = await readFile(updates[1]!.path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    const path = join(folder, "damaged");
    await writeFile(path, bytes);
    const damaged = { ...job, updates: job.updates.map((update, k) => (k === 0 ? update : { ...update, path })) };
    await expect(pool.run(damaged)).rejects.toMatchObject({
      code: "blob-hash-mismatch",
      details: { updateId: "plan-2" },
    });

    const values = tensors(1);
    const name = layout[0]!.name;
    const wrong = fromFloat32(new Float32Array(4 * 8256).fill(NaN), [4, 8256]);
    const notFinite = await store(writeSafetensors(toStateDict([...values, [name, wrong]])));
    const folded = { ...makeJob("fedavg"), updates: job.updates.map((update) => ({ ...update, ...notFinite })) };
    await expect(pool.run(folded)).rejects.toMatchObject({
      code: "update-not-finite",
      details: { updateId: "plan-1", tensor: name },
    });
    expect((await pool.run(job)).kind).toBe("adapter");
  }, 60_000);

  test("cancelling ends all threads of the job, and the next job runs", async () => {
    const stop = new AbortController();
    const running = pool.run(makeJob("flexlora"), stop.signal);
    setTimeout(() => stop.abort(), 10);
    await expect(running).rejects.toMatchObject({ code: "cancelled" });
    expect((await pool.run(makeJob("ffa-lora"))).kind).toBe("adapter");
  }, 60_000);

  test("the number of threads must be sound", () => {
    expect(() => new AggregationPool({ threadsPerJob: 0 })).toThrow(
      expect.objectContaining({ code: "config-invalid" }),
    );
  });
});
