import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileMethod } from "@fedlora/aggregators";
import { aggregateInMemory, memoryUpdate, testSpec } from "@fedlora/aggregators/testing";
import {
  blobIdOf,
  canonicalLayout,
  codecOf,
  elementCount,
  fromFloat32,
  openEncoded,
  toFloat32,
  toStateDict,
  writeSafetensors,
} from "@fedlora/core";
import type { ClientId, StateDict, TensorLayout } from "@fedlora/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { aggregateRound } from "./aggregate-round.js";
import type { AggregationJob, BlobFile, UpdateFile } from "./aggregation.js";
import { AggregationPool } from "./pool.js";

const layout = canonicalLayout([
  { name: "base_model.model.m.lora_A.weight", dtype: "F32", shape: [2, 300] },
  { name: "base_model.model.m.lora_B.weight", dtype: "F32", shape: [500, 2] },
  { name: "base_model.model.classifier.bias", dtype: "F32", shape: [3] },
]);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-aggregate-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function tensors(seed: number): StateDict {
  return toStateDict(
    layout.map(({ name, shape }) => {
      const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(seed * 31 + i) * 0.01);
      return [name, fromFloat32(values, shape)];
    }),
  );
}
function encodeAs(codec: string, specs: TensorLayout, state: StateDict): StateDict {
  return codecOf(codec).encode(specs, (name) => toFloat32(state.get(name)!));
}
function decodeAs(codec: string, specs: TensorLayout, encoded: StateDict): StateDict {
  const tensor = openEncoded(codecOf(codec).decoder(specs), encoded);
  return toStateDict(specs.map(({ name, shape }) => [name, fromFloat32(tensor(name).slice(), shape)]));
}
async function store(bytes: Uint8Array): Promise<BlobFile> {
  const blobId = blobIdOf(bytes);
  const path = join(folder, blobId);
  await writeFile(path, bytes);
  return { blobId, path };
}
const common = { layout, codec: "f32", numSteps: 1, staleness: 0, receivedLoss: undefined };
async function storeUpdate(
  k: number,
  state: StateDict = tensors(k + 1),
  change: Partial<UpdateFile> = {},
): Promise<UpdateFile> {
  const blob = await store(writeSafetensors(state));
  return {
    ...blob,
    id: `plan-${k}`,
    clientId: `client-${k}` as ClientId,
    weight: 10 + k,
    numExamples: 10 + k,
    fullWeight: 10 + k,
    ...common,
    ...change,
  };
}
async function makeJob(updates: readonly UpdateFile[]): Promise<AggregationJob> {
  const spec = testSpec();
  const state = compileMethod({ spec, adapterLayout: layout, scalings: {} }).initialState();
  const global = await store(writeSafetensors(tensors(0)));
  return {
    spec,
    adapterLayout: layout,
    scalings: {},
    deltaPath: join(folder, "delta"),
    round: 1,
    phase: "train",
    state,
    global,
    baseVersion: 0,
    updates,
  };
}
const threeUpdates = (): Promise<UpdateFile[]> => Promise.all([0, 1, 2].map((k) => storeUpdate(k)));

describe("a round's aggregation from stored files", () => {
  test.each(["f32", "f16", "bf16", "int8", "int8:7", "topk:0.4", "topk:.02"])(
    "gives what the method gives in memory, for %s updates",
    async (codec) => {
      const encoded = [1, 2, 3].map((seed) => encodeAs(codec, layout, tensors(seed)));
      const updates = await Promise.all(encoded.map((state, k) => storeUpdate(k, state, { codec })));
      const job = await makeJob(updates);

      const outcome = aggregateRound(job);

      const method = compileMethod(job);
      const views = updates.map(({ id, weight }, k) => memoryUpdate(id, weight, decodeAs(codec, layout, encoded[k]!)));
      const expected = aggregateInMemory(method, tensors(0), views);
      if (expected.kind === "refused" || outcome.kind === "refused") throw new Error("refused");
      expect(blobIdOf(outcome.global)).toBe(blobIdOf(writeSafetensors(expected.global)));
      expect(outcome.metrics).toEqual(expected.metrics);
      expect(outcome.state).toEqual(job.state);
    },
  );

  test("does not depend on the order of the updates", async () => {
    const updates = await threeUpdates();
    const [one, other] = await Promise.all([makeJob(updates), makeJob(updates.toReversed())]);
    expect(aggregateRound(other)).toEqual(aggregateRound(one));
  });

  test("refuses a round without updates by the method's word", async () => {
    expect(aggregateRound(await makeJob([]))).toMatchObject({ kind: "refused", code: "round-failed" });
  });

  test("a stored byte that changed is found, though its file is verified as it is folded", async () => {
    const updates = await threeUpdates();
    const [, , last] = updates;
    const bytes = await readFile(last!.path);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    const path = join(folder, "damaged");
    await writeFile(path, bytes);
    const job = await makeJob([...updates.slice(0, 2), { ...last!, path }]);
    expect(() => aggregateRound(job)).toThrow(
      expect.objectContaining({
        code: "blob-hash-mismatch",
        details: { blobId: last!.blobId, updateId: "plan-2" },
      }),
    );
  });

  test("what damage leads to is told as damage, that of the first damaged update", async () => {
    const updates = await threeUpdates();
    const damage = async (k: number, change: (bytes: Uint8Array) => Uint8Array): Promise<UpdateFile> => {
      const path = join(folder, `damaged-${k}`);
      await writeFile(path, change(new Uint8Array(await readFile(updates[k]!.path))));
      return { ...updates[k]!, path };
    };
    const changes: ((bytes: Uint8Array) => Uint8Array)[] = [
      (bytes) => bytes.fill(0xff, -4), // NaN
      (bytes) => bytes.fill(0xff, 0, 8), // a header without end
      (bytes) => bytes.fill(0x20, 9, 40), // a header that says nothing
      (bytes) => bytes.subarray(0, -1),
      (bytes) => Uint8Array.of(...bytes, 0),
      () => new Uint8Array(0),
    ];
    for (const change of changes) {
      const job = await makeJob([updates[0]!, await damage(1, change), await damage(2, change)]);
      expect(() => aggregateRound(job)).toThrow(
        expect.objectContaining({
          code: "blob-hash-mismatch",
          details: { blobId: updates[1]!.blobId, updateId: "plan-1" },
        }),
      );
      const gone = { ...job, updates: [{ ...updates[0]!, path: join(folder, "gone") }, ...job.updates.slice(1)] };
      expect(() => aggregateRound(gone)).toThrow(expect.objectContaining({ code: "blob-not-found" }));
    }
  });

  test("a damaged global adapter is found as well", async () => {
    const job = await makeJob(await threeUpdates());
    const path = join(folder, "short");
    await writeFile(path, (await readFile(job.global.path)).subarray(0, -4));
    expect(() => aggregateRound({ ...job, global: { ...job.global, path } })).toThrow(
      expect.objectContaining({ code: "blob-hash-mismatch" }),
    );
  });

  test.each([
    ["a missing file", { path: "/nonexistent/blob" }, "blob-not-found"],
    ["a negative weight", { weight: -1 }, "update-weight"],
    ["an infinite weight", { weight: Infinity }, "update-weight"],
    ["an id used twice", { id: "plan-0" }, "update-conflict"],
  ])("%s is refused", async (_, change, code) => {
    const [first, second] = await threeUpdates();
    const job = await makeJob([first!, { ...second!, ...change }]);
    expect(() => aggregateRound(job)).toThrow(expect.objectContaining({ code }));
  });

  test("tensors that differ from the layout are refused by name", async () => {
    const name = "base_model.model.classifier.bias";
    const wrong = (values: number[]): StateDict =>
      toStateDict([...tensors(1), [name, fromFloat32(Float32Array.from(values), [values.length])]]);
    const missing = toStateDict([...tensors(1)].filter(([other]) => other !== name));
    const cases: [StateDict, string][] = [
      [missing, "update-tensor-missing"],
      [wrong([1, 2, 3, 4]), "update-shape"],
      [wrong([1, NaN, 3]), "update-not-finite"],
    ];
    for (const [state, code] of cases) {
      const job = await makeJob([await storeUpdate(0), await storeUpdate(1, state)]);
      expect(() => aggregateRound(job)).toThrow(
        expect.objectContaining({ code, details: expect.objectContaining({ updateId: "plan-1", tensor: name }) }),
      );
    }
  });

  test("an unknown method is refused", async () => {
    const job = await makeJob(await threeUpdates());
    const spec = { ...job.spec, method: { name: "fedavgg", options: {} } };
    expect(() => aggregateRound({ ...job, spec })).toThrow(expect.objectContaining({ code: "method-unknown" }));
  });
});

describe("the pool of aggregation threads", () => {
  const withPool = async (body: (pool: AggregationPool) => Promise<void>): Promise<void> => {
    const pool = new AggregationPool();
    try {
      await body(pool);
    } finally {
      await pool.close();
    }
  };

  test("gives the same bytes as in this thread, one job after the other", () =>
    withPool(async (pool) => {
      const job = await makeJob(await threeUpdates());
      const [first, second] = await Promise.all([pool.run(job), pool.run(job)]);
      const here = aggregateRound(job);
      expect(first).toEqual(here);
      expect(second).toEqual(here);
      expect(first.kind === "adapter" && toFloat32({ dtype: "U8", shape: [], bytes: first.global }).length).toBe(
        here.kind === "adapter" && here.global.byteLength,
      );
    }));

  test("errors keep their code and details across the thread, and the next job runs", () =>
    withPool(async (pool) => {
      const job = await makeJob(await threeUpdates());
      const missing = { ...job, global: { ...job.global, path: join(folder, "nowhere") } };
      await expect(pool.run(missing)).rejects.toMatchObject({
        name: "FedLoraError",
        code: "blob-not-found",
        details: { blobId: job.global.blobId },
      });
      expect((await pool.run(job)).kind).toBe("adapter");
    }));

  test("cancelling ends a running job and takes a waiting one out of the queue", () =>
    withPool(async (pool) => {
      const job = await makeJob(await threeUpdates());
      const running = new AbortController();
      const waiting = new AbortController();
      const first = pool.run(job, running.signal);
      const second = pool.run(job, waiting.signal);
      const third = pool.run(job);
      waiting.abort();
      running.abort();
      await expect(first).rejects.toMatchObject({ code: "cancelled" });
      await expect(second).rejects.toMatchObject({ code: "cancelled" });
      expect((await third).kind).toBe("adapter");
      await expect(pool.run(job, AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });
    }));

  test("closing rejects what runs and waits, and refuses more", async () => {
    const pool = new AggregationPool();
    const job = await makeJob(await threeUpdates());
    const jobs = [pool.run(job), pool.run(job)];
    const settled = Promise.allSettled(jobs);
    await pool.close();
    for (const result of await settled) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "cancelled" } });
    }
    await expect(pool.run(job)).rejects.toMatchObject({ code: "cancelled" });
  });

  test("the number of threads must be sound", () => {
    expect(() => new AggregationPool({ threads: 0 })).toThrow(expect.objectContaining({ code: "config-invalid" }));
  });
});
