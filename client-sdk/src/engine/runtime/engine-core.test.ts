import { FedLoraError, systemClock, toFloat32 } from "@fedlora/core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { ArtifactRef } from "../artifact.js";
import type { EngineBackend, ExecutorRequest, StepExecutor } from "../engine.js";
import { EngineCore } from "./engine-core.js";
import { nodeHost } from "./node-host.js";
import { ortBackend } from "./ort-backend.js";
import { copyToy } from "./testing/toy.js";
import type { Toy } from "./testing/toy.js";

const toys = {} as Record<"toy" | "toy-per-example" | "toy-evaluate", Toy>;

beforeAll(async () => {
  for (const name of ["toy", "toy-per-example", "toy-evaluate"] as const) toys[name] = await copyToy(name);
});
afterAll(async () => {
  for (const toy of Object.values(toys)) await toy.remove();
});

function engineOf(options: { backend?: Pick<EngineBackend, "open">; freeBytes?: number } = {}): EngineCore {
  const host = nodeHost(systemClock);
  return new EngineCore({
    name: "onnxruntime-cpu",
    fingerprint: "test",
    backend: options.backend ?? ortBackend,
    threads: 1,
    prepack: false,
    host: { ...host, freeBytes: () => options.freeBytes ?? 1e9 },
  });
}

function request({ artifact, weightsFile, inputs }: Toy, slot: string) {
  return { artifact, weightsFile, inputs, slot };
}

const rates = (toy: Toy, rate: number): Record<string, number> =>
  Object.fromEntries(toy.slot.trained.map((name) => [name, rate]));

test.each(["toy", "toy-per-example"] as const)("%s: loss and gradients equal PyTorch's", async (name) => {
  const toy = toys[name];
  const engine = engineOf();
  const slot = await engine.createSlot(toy.slot);

  const { loss, stepMs } = await engine.accumulate(request(toy, slot));
  const { gradNorm } = await engine.apply({
    slot,
    learningRates: rates(toy, 0),
    maxGradNorm: undefined,
    proximalMu: undefined,
  });
  const moments = await engine.readOptimizer(slot);
  await engine.close();

  expect(loss).toBeCloseTo(toy.golden.loss, 4);
  expect(stepMs).toBeGreaterThan(0);
  expect(gradNorm / toy.golden.gradNorm).toBeCloseTo(1, 5);
  for (const [tensor, gradient] of Object.entries(toy.golden.gradients)) {
    // After one step the first moment is a tenth of the gradient.
    const values = toFloat32(moments.get(`${tensor}.exp_avg`)!);
    gradient.forEach((value, i) => expect(values[i]! * 10).toBeCloseTo(value, 3));
  }
});

test("forward only gives every example's loss", async () => {
  const toy = toys["toy-evaluate"];
  const engine = engineOf();
  const slot = await engine.createSlot({ ...toy.slot, trained: [], optimizer: undefined });

  const first = await engine.infer({ ...request(toy, slot), outputs: ["losses"] });
  const { labels } = toy.inputs;
  const other = { ...toy.inputs, labels: { ...labels!, data: labels!.data.map((label) => (label + 1) % 5) } };
  await engine.infer({ ...request(toy, slot), inputs: other, outputs: ["losses"] });
  await engine.close();

  expect(first["losses"]!.shape).toEqual([3]);
  toy.golden.losses.forEach((loss, i) => expect(first["losses"]!.data[i]).toBeCloseTo(loss, 4));
});

test("training lowers the loss, the same way every time", async () => {
  const toy = toys.toy;
  const train = async (): Promise<{ losses: number[]; values: unknown }> => {
    const engine = engineOf();
    const slot = await engine.createSlot(toy.slot);
    const losses: number[] = [];
    for (let step = 0; step < 30; step++) {
      losses.push((await engine.accumulate(request(toy, slot))).loss);
      await engine.apply({ slot, learningRates: rates(toy, 0.05), maxGradNorm: 1, proximalMu: undefined });
    }
    const values = await engine.readSlot(slot);
    await engine.close();
    return { losses, values };
  };

  const first = await train();

  expect(first.losses.at(-1)).toBeLessThan(first.losses[0]! / 2);
  expect(await train()).toEqual(first);
});

test("slots share an open graph without touching each other", async () => {
  const toy = toys.toy;
  const open = vi.fn((opened: ExecutorRequest) => ortBackend.open(opened));
  const engine = engineOf({ backend: { open } });
  const [one, two] = [await engine.createSlot(toy.slot), await engine.createSlot(toy.slot)];

  await engine.accumulate(request(toy, one));
  await engine.apply({ slot: one, learningRates: rates(toy, 0.1), maxGradNorm: undefined, proximalMu: undefined });
  const { loss } = await engine.accumulate(request(toy, two));

  expect(loss).toBeCloseTo(toy.golden.loss, 4);
  expect(await engine.readSlot(two)).toEqual(toy.slot.tensors);
  expect(await engine.readSlot(one)).not.toEqual(toy.slot.tensors);
  expect(open).toHaveBeenCalledTimes(1);
  await engine.releaseSlot(one);
  await expect(engine.readSlot(one)).rejects.toMatchObject({ code: "request-invalid" });
  await engine.close();
});

test("at most three graphs stay open, the least recently used one is closed first", async () => {
  const toy = toys.toy;
  const log: string[] = [];
  const open = (opened: { artifact: ArtifactRef }): Promise<StepExecutor> => {
    const { key } = opened.artifact.manifest;
    log.push(`open ${key}`);
    const losses = { dtype: "F32" as const, shape: [3], data: new Float32Array(3) };
    return Promise.resolve({
      run: () => Promise.resolve(new Map([["losses", losses]])),
      dispose: () => {
        log.push(`close ${key}`);
        return Promise.resolve();
      },
    });
  };
  const engine = engineOf({ backend: { open } });
  const slot = await engine.createSlot(toy.slot);
  const use = async (key: string): Promise<void> => {
    const artifact = { ...toy.artifact, manifest: { ...toy.artifact.manifest, key } };
    await engine.infer({ ...request(toy, slot), artifact, outputs: ["losses"] });
  };

  for (const key of ["a", "b", "c", "a", "d", "a", "b"]) await use(key);
  await engine.close();

  expect(log).toEqual([
    "open a",
    "open b",
    "open c",
    "close b",
    "open d",
    "close c",
    "open b",
    "close d",
    "close a",
    "close b",
  ]);
});

test("a batch whose activations do not fit is refused before anything opens", async () => {
  const toy = toys.toy;
  const open = vi.fn((opened: ExecutorRequest) => ortBackend.open(opened));
  const engine = engineOf({ backend: { open }, freeBytes: 9999 });
  const slot = await engine.createSlot(toy.slot);

  await expect(engine.accumulate(request(toy, slot))).rejects.toMatchObject({
    code: "engine-memory",
    details: { neededBytes: "10000", freeBytes: "9999" },
  });
  expect(open).not.toHaveBeenCalled();
});

test("a stop takes effect before the next step and leaves the buffer as it was", async () => {
  const toy = toys.toy;
  const engine = engineOf();
  const slot = await engine.createSlot(toy.slot);
  const abort = new AbortController();

  const running = engine.accumulate(request(toy, slot), abort.signal);
  await running;
  const waiting = engine.accumulate(request(toy, slot), abort.signal);
  abort.abort();

  await expect(waiting).rejects.toMatchObject({ code: "cancelled" });
  const { gradNorm } = await engine.apply({
    slot,
    learningRates: rates(toy, 0),
    maxGradNorm: undefined,
    proximalMu: undefined,
  });
  expect(gradNorm / toy.golden.gradNorm).toBeCloseTo(1, 5);
  await engine.close();
});

test.each([
  ["a missing input", { labels: undefined }, "request-invalid"],
  ["an unknown input", { label: { dtype: "I32", shape: [3], data: new Int32Array(3) } }, "request-invalid"],
  ["another shape", { labels: { dtype: "I32", shape: [4], data: new Int32Array(4) } }, "request-invalid"],
  ["another dtype", { labels: { dtype: "F32", shape: [3], data: new Float32Array(3) } }, "request-invalid"],
  ["too few values", { labels: { dtype: "I32", shape: [3], data: new Int32Array(2) } }, "request-invalid"],
] as const)("refuses a batch with %s", async (_name, change, code) => {
  const toy = toys.toy;
  const engine = engineOf();
  const slot = await engine.createSlot(toy.slot);
  const merged: Record<string, unknown> = { ...toy.inputs, ...change };
  const inputs = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined));

  const refused = engine.accumulate({ ...request(toy, slot), inputs: inputs as Toy["inputs"] });

  await expect(refused).rejects.toMatchObject({ code });
  await engine.close();
});

test("an evaluation graph cannot train, and one output less cannot be inferred", async () => {
  const toy = toys["toy-evaluate"];
  const engine = engineOf();
  const slot = await engine.createSlot(toy.slot);
  await expect(engine.accumulate(request(toy, slot))).rejects.toMatchObject({ code: "artifact-invalid" });
  await expect(engine.infer({ ...request(toy, slot), outputs: ["logits"] })).rejects.toMatchObject({
    code: "request-invalid",
  });
});

test("what the runtime refuses is a coded error that names the graph, and the engine goes on", async () => {
  const toy = toys.toy;
  const engine = engineOf();
  const slot = await engine.createSlot(toy.slot);
  const missing = engine.accumulate({ ...request(toy, slot), weightsFile: "/nowhere/model.safetensors" });
  await expect(missing).rejects.toMatchObject({ code: "file-missing" });
  await expect(missing).rejects.toBeInstanceOf(FedLoraError);

  const { loss } = await engine.accumulate(request(toy, slot));

  expect(loss).toBeCloseTo(toy.golden.loss, 4);
  await engine.close();
});
