import { FedLoraError, readSafetensors, toFloat32 } from "@fedlora/core";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { bigShape, createClientHarness, type ClientHarness, type HarnessOptions } from "./testing/client-harness.js";
import { fakeRole, filledState } from "./testing/fake-plan.js";

const opened: ClientHarness[] = [];
const open = async (options?: HarnessOptions): Promise<ClientHarness> => {
  const harness = await createClientHarness(options);
  opened.push(harness);
  return harness;
};
afterEach(async () => {
  for (const harness of opened.splice(0)) await harness.dispose();
});

const unavailable = (): FedLoraError => new FedLoraError("unavailable", "the connection broke");
const updateBytes = (harness: ClientHarness): number => harness.seen("uploading").at(-1)?.totalBytes ?? Number.NaN;

describe("a run without faults", () => {
  test("enrols, trains every round, delivers deltas and ends", async () => {
    const harness = await open({ coordinator: { rounds: 3 } });

    await harness.run();

    expect(harness.trainer.trained.map(({ round }) => round)).toEqual([1, 2, 3]);
    expect(harness.fake.accepted).toHaveLength(3);
    expect(toFloat32(harness.fake.accepted[0]!.update!.get("b")!)).toEqual(Float32Array.of(1, 1, 1, 1));
    expect(toFloat32(harness.fake.global.get("b")!)).toEqual(Float32Array.of(2, 2, 2, 2));
    expect(harness.events[0]?.type).toBe("enrolled");
    expect(harness.events.at(-1)).toMatchObject({ type: "ended", state: "completed" });
    expect(harness.seen("accepted").map(({ receipt }) => receipt.round)).toEqual([1, 2, 3]);
  });

  test("sends values instead of deltas, in the codec of the plan, where the plan says so", async () => {
    const harness = await open({ instructions: { updateForm: "value", codec: "f16" } });

    await harness.run();

    const tensor = harness.fake.accepted[0]!.update!.get("a")!;
    expect(tensor.dtype).toBe("F16");
    expect(toFloat32(tensor)[0]).toBe(1.5);
  });

  test("sends the largest half of the change, and what was left out with the next one", async () => {
    const harness = await open({
      coordinator: { rounds: 2 },
      instructions: { roles: [fakeRole("b", [4])], codec: "topk:.5", errorFeedback: true },
    });

    await harness.run();

    const [first, second] = harness.fake.accepted.map(({ update }) => [...toFloat32(update!.get("sparse.values")!)]);
    expect([first, second]).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect([...toFloat32(harness.fake.global.get("b")!)]).toEqual([0, 0, 1, 1]);
  });

  test("adds nothing of a round that did not count", async () => {
    const harness = await open({
      coordinator: { rounds: 2 },
      instructions: { roles: [fakeRole("b", [4])], codec: "topk:.5", errorFeedback: true },
    });
    harness.fake.onCall = ({ method, when, count }) => {
      if (method !== "commit" || when !== "before" || count !== 1) return;
      harness.fake.closeRound();
      throw new FedLoraError("round-closed", "too late");
    };

    await harness.run();

    expect(harness.trainer.trained.map(({ round }) => round)).toEqual([1, 2]);
    expect(harness.fake.accepted.map(({ update }) => [...toFloat32(update!.get("sparse.values")!)])).toEqual([[1, 1]]);
  });

  test("starts from the decoded download, in the codec of the plan", async () => {
    const harness = await open({
      coordinator: { initial: filledState({ a: [0.5, bigShape], b: [-1, [4]] }) },
      instructions: { roles: [fakeRole("b", [4])], downloadCodec: "topk:.25" },
    });

    await harness.run();

    expect([...toFloat32(harness.trainer.trained[0]!.start.get("b")!)]).toEqual([-1, 0, 0, 0]);
  });

  test("sends sketches as they are and keeps none to start from", async () => {
    const harness = await open({ instructions: { updateForm: "sketch" } });

    await harness.run();

    expect(toFloat32(harness.fake.accepted[0]!.update!.get("a")!)[0]).toBe(1.5);
    const files = await readdir(harness.folder, { recursive: true });
    const kept = files.filter((name) => name.endsWith("trained.safetensors"));
    expect(kept).toHaveLength(1);
    expect(readSafetensors(await readFile(join(harness.folder, kept[0]!))).tensors.size).toBe(0);
  });

  test("fetches what it has already from the cache", async () => {
    const harness = await open({ coordinator: { rounds: 2 } });

    await harness.run();

    const [first, second] = harness.seen("downloaded");
    expect(first).toMatchObject({ cachedBytes: 0 });
    expect(second?.cachedBytes).toBeGreaterThan(500); // the instructions are the same
    expect(second?.bytes).toBeGreaterThan(780_000); // the global adapter is another
  });

  test("answers an evaluation with counts and without an upload", async () => {
    const harness = await open({ coordinator: { evaluate: true } });

    await harness.run();

    expect(harness.trainer.evaluated).toHaveLength(1);
    expect(harness.fake.accepted.map(({ update }) => update === undefined)).toEqual([false, true]);
    expect(harness.fake.accepted[1]?.metrics).toMatchObject({
      numExamples: 4,
      evaluation: { count: 4, lossSum: 2, confusion: [2, 0, 1, 1] },
    });
    expect(harness.seen("evaluated")).toHaveLength(1);
  });

  test("keeps local tensors and optimizer state from round to round", async () => {
    const harness = await open({
      coordinator: { rounds: 2, initial: new Map(), frozen: [] },
      instructions: {
        roles: [fakeRole("local", [2], { uploaded: false, downloaded: false, keep: "run" }), fakeRole("b", [4])],
        keepOptimizerState: true,
      },
    });
    const { initial } = harness;
    harness.fake.global = new Map([...initial, ["local", initial.get("b")!]].filter(([name]) => name !== "a") as never);
    (harness.fake.global as Map<string, unknown>).set("local", {
      ...initial.get("b")!,
      shape: [2],
      bytes: initial.get("b")!.bytes.slice(0, 8),
    });

    await harness.run();

    const [first, second] = harness.trainer.trained;
    expect(toFloat32(first!.start.get("local")!)).toEqual(Float32Array.of(-1, -1));
    expect(toFloat32(second!.start.get("local")!)).toEqual(Float32Array.of(0, 0));
    expect(first!.optimizerState).toBeUndefined();
    expect(toFloat32(second!.optimizerState!.get("step")!)).toEqual(Float32Array.of(1));
  });

  test("keeps the result of the run, for a model that is used later", async () => {
    const harness = await open({ coordinator: { rounds: 2 } });

    await harness.run();

    const { tensors } = readSafetensors(await readFile(join(harness.folder, "global-adapter.safetensors")));
    expect(toFloat32(tensors.get("b")!)).toEqual(toFloat32(harness.fake.global.get("b")!));
    const client = harness.start();
    await expect(client.model()).rejects.toMatchObject({ code: "model-missing" }); // it was given a trainer
    await client.close();
  });

  test("reports progress without depending on it", async () => {
    const harness = await open();
    harness.fake.onCall = ({ method }) => {
      if (method === "report") throw unavailable();
    };

    await harness.run();

    expect(harness.fake.accepted).toHaveLength(1);
    expect(harness.seen("progress").at(-1)).toMatchObject({ round: 1, step: 3, totalSteps: 3 });
  });
});

describe("stopping", () => {
  const stages = {
    enrolling: { method: "enrol", when: "before" },
    polling: { method: "poll", when: "before" },
    downloading: { method: "chunkDown", when: "before" },
    "beginning the upload": { method: "beginUpload", when: "after" },
    uploading: { method: "chunkUp", when: "after" },
    committing: { method: "commit", when: "before" },
  } as const;

  test.each(Object.entries(stages))("while %s leaves a folder that the next start goes on with", async (_, at) => {
    const harness = await open();
    const stop = new AbortController();
    harness.fake.onCall = ({ method, when }) => {
      if (method === at.method && when === at.when) stop.abort();
    };

    await harness.run({}, stop.signal);
    expect(harness.seen("ended")).toHaveLength(0);
    harness.fake.onCall = () => undefined;
    await harness.run();

    expect(harness.fake.accepted).toHaveLength(1);
    expect(harness.trainer.trained).toHaveLength(1);
    expect(harness.fake.receivedBytes).toBe(updateBytes(harness));
    expect(await readdir(join(harness.folder, "work"))).toEqual([]);
  });

  test("while training starts the round's training again", async () => {
    const stop = new AbortController();
    const harness = await open({ trainer: { onStep: (step) => (step === 2 ? stop.abort() : undefined) } });

    await harness.run({}, stop.signal);
    await harness.run();

    expect(harness.trainer.trained).toHaveLength(2);
    expect(harness.fake.accepted).toHaveLength(1);
  });

  test("by leaving the loop stops the work and lets the client run again", async () => {
    const harness = await open();
    const client = harness.start();
    for await (const event of client.run()) if (event.type === "plan") break;

    const ended = await client.runToEnd();
    await client.close();

    expect(ended.state).toBe("completed");
    expect(harness.fake.accepted).toHaveLength(1);
  });

  test("before the end is an error for who asked for the end", async () => {
    const harness = await open();
    const client = harness.start();

    await expect(client.runToEnd(AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });
    await client.close();
  });
});

describe("the state folder", () => {
  test("is held by one client at a time", async () => {
    const harness = await open();
    const first = harness.start();
    for await (const event of first.run()) {
      if (event.type !== "enrolled") continue;
      const second = harness.start();
      await expect(second.runToEnd()).rejects.toMatchObject({ code: "config-invalid" });
      await second.close();
    }
    await first.close();

    await expect(harness.run()).resolves.toBeUndefined();
  });

  test("is cleared of what a crash left half finished", async () => {
    const harness = await open();
    const client = harness.start();
    await mkdir(join(harness.folder, "work"));
    await writeFile(join(harness.folder, "work", "old-plan.update.safetensors"), "half");

    for await (const event of client.run()) if (event.type === "enrolled") break;
    await client.close();

    expect(await readdir(join(harness.folder, "work"))).toEqual([]);
  });

  test("keeps the client the same after a restart", async () => {
    const harness = await open({ coordinator: { rounds: 1 } });

    await harness.run();
    await harness.run();

    const [first, second] = harness.seen("enrolled");
    expect(second?.clientId).toBe(first?.clientId);
    expect(harness.seen("accepted")).toHaveLength(1); // and does not deliver again what has a receipt
  });
});
