import { AdminClient, createGrpcTransport, type BlobChunk, type Transport } from "@fedlora/client-sdk";
import {
  chunkBytes,
  readSafetensors,
  toFloat32,
  writeSafetensors,
  type BaseModelHash,
  type RunSpec,
  type RunSpecInput,
  type StateDict,
  type TensorLayout,
} from "@fedlora/core";
import { afterEach, describe, expect, test } from "vitest";
import { chunksFrom, Member, Outsider, type MemberOptions } from "./members.js";
import { filled, RealCoordinator, wideLayout, wideSpec } from "./real-coordinator.js";

/**
 * Bad input to the coordinator itself, by gRPC, in the middle of a round with honest clients of the SDK. Whatever one client
 * does, the round commits with exactly what the others trained: every value of the adapter moves by 1.
 */
const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0).reverse()) await item.close();
});

async function serve(changes: Partial<RunSpecInput> = {}): Promise<RealCoordinator> {
  const coordinator = await RealCoordinator.start(changes);
  open.push(coordinator);
  return coordinator;
}

async function enrol(coordinator: RealCoordinator): Promise<Outsider> {
  const outsider = await Outsider.enrolled(coordinator);
  open.push(outsider.transport);
  return outsider;
}

function join(coordinator: RealCoordinator, name: string, options: MemberOptions = {}): Member {
  const member = new Member(coordinator, name, options);
  open.push(member.client);
  return member;
}

/** A promise and what resolves it: holds a client's training until then. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let resolve: () => void = () => undefined;
  const opened = new Promise<void>((done) => (resolve = done));
  return { opened, open: () => resolve() };
}

/** What became of the run's only round, and how far the adapter moved from where `member` began. */
async function outcome(coordinator: RealCoordinator, member: Member) {
  const { admin } = coordinator.service;
  await expect
    .poll(async () => (await admin.getRun(coordinator.runId)).summary, { timeout: 30_000 })
    .toMatchObject({ state: "completed" });
  const { rounds, globalAdapter } = await admin.getRun(coordinator.runId);
  expect(await member.ended).toMatchObject({ type: "ended", state: "completed" });
  const { tensors } = readSafetensors(await (await enrol(coordinator)).download(globalAdapter!.id));
  const moved = [...tensors].flatMap(([name, tensor]) => {
    const start = toFloat32(member.trainer.trained[0]!.start.get(name)!);
    return [...toFloat32(tensor)].map((value, index) => Math.round(1000 * (value - start[index]!)) / 1000);
  });
  return { round: rounds[0]!, moved: [...new Set(moved)] };
}

const [first, ...rest] = wideLayout;
const cut = (state: StateDict): Uint8Array => writeSafetensors(state).subarray(0, -4);
const withNaN = (state: StateDict): StateDict => {
  const bytes = state.get(first!.name)!.bytes;
  new DataView(bytes.buffer, bytes.byteOffset).setFloat32(28, Number.NaN, true);
  return state;
};
const reshaped: TensorLayout = [{ ...first!, shape: [...first!.shape].reverse() }, ...rest];

describe("an update that is refused", () => {
  test.each<[string, string, Uint8Array, string]>([
    ["lacks a tensor", "update-tensor-missing", writeSafetensors(filled(rest, 9)), first!.name],
    [
      "holds one too many",
      "update-tensor-unexpected",
      writeSafetensors(filled([...wideLayout, { ...first!, name: "other", shape: [1] }], 9)),
      "other",
    ],
    ["has another shape", "update-shape", writeSafetensors(filled(reshaped, 9)), first!.name],
    [
      "holds a NaN",
      "update-not-finite",
      writeSafetensors(withNaN(filled(wideLayout, 9))),
      `${first!.name}" is NaN at index 7`,
    ],
    ["is truncated", "safetensors-invalid", cut(filled(wideLayout, 9)), "bytes"],
  ])("because it %s is named, and another takes the slot", async (_, code, bytes, name) => {
    const coordinator = await serve();
    const eve = await enrol(coordinator);
    const [ann, bob] = [join(coordinator, "ann"), join(coordinator, "bob")];
    const { planId } = await eve.plan();

    const refused = await eve.upload(planId, bytes).catch((error: unknown) => error);
    await eve.decline(planId, code);
    const dan = join(coordinator, "dan");

    expect(refused).toMatchObject({ code, message: expect.stringContaining(name) as string });
    const { round, moved } = await outcome(coordinator, ann);
    expect(round).toMatchObject({ planned: 4, accepted: 3, refused: 1, declined: 1 });
    expect(moved).toEqual([1]);
    expect([bob, dan].map((member) => member.seen("accepted").length)).toEqual([1, 1]);
  });
});

test("a chunk with a wrong hash is refused by itself; the right one is taken and the update counts", async () => {
  const coordinator = await serve();
  const eve = await enrol(coordinator);
  const [ann] = [join(coordinator, "ann"), join(coordinator, "bob")];
  const { planId } = await eve.plan();
  const bytes = writeSafetensors(filled(wideLayout, 4));
  const { uploadId } = await eve.begin(planId, bytes);
  const [chunk] = chunksFrom(bytes);

  const refused = await eve
    .putChunk(uploadId, { ...chunk!, data: chunk!.data.map((byte) => byte ^ 1) })
    .catch((error: unknown) => error);

  expect(refused).toMatchObject({
    code: "chunk-hash-mismatch",
    retryable: true,
    message: expect.stringContaining("0") as string,
  });
  await eve.upload(planId, bytes);
  const { round, moved } = await outcome(coordinator, ann);
  expect(round).toMatchObject({ accepted: 3, refused: 0 });
  expect(moved).toEqual([2]);
});

test("a second and different update for the same round is a conflict; the first one counts", async () => {
  const coordinator = await serve();
  const { opened, open: release } = gate();
  const eve = await enrol(coordinator);
  const [ann] = [join(coordinator, "ann", { training: { onStep: () => opened } }), join(coordinator, "bob")];
  const { planId } = await eve.plan();
  const bytes = writeSafetensors(filled(wideLayout, 4));
  const receipt = await eve.upload(planId, bytes);

  const second = await eve.upload(planId, writeSafetensors(filled(wideLayout, 100))).catch((error: unknown) => error);
  const again = await eve.upload(planId, bytes);
  release();

  expect(second).toMatchObject({ code: "update-conflict", message: expect.stringContaining(planId) as string });
  expect(again).toEqual(receipt);
  const { round, moved } = await outcome(coordinator, ann);
  expect(round).toMatchObject({ accepted: 3 });
  expect(moved).toEqual([2]);
});

test("an update for a closed round is told so, with the round that is going on", async () => {
  const coordinator = await serve({ cohort: { size: 2, overSelection: 1.5 } });
  const eve = await enrol(coordinator);
  const [ann] = [join(coordinator, "ann"), join(coordinator, "bob")];
  const { planId } = await eve.plan();
  const { round, moved } = await outcome(coordinator, ann);

  const late = await eve.upload(planId, writeSafetensors(filled(wideLayout, 100))).catch((error: unknown) => error);

  expect(late).toMatchObject({
    code: "round-closed",
    details: { round: "1" },
    message: expect.stringContaining(planId) as string,
  });
  expect(round).toMatchObject({ planned: 3, accepted: 2, dropouts: 1 });
  expect(moved).toEqual([1]);
});

describe("a client that vanishes", () => {
  test("during training loses its slot to another, and the round is complete", async () => {
    const coordinator = await serve({ deadlines: { silenceMs: 1000 } });
    const { opened, open: release } = gate();
    const hold = { training: { onStep: () => opened } };
    const [ann, bob] = [join(coordinator, "ann", hold), join(coordinator, "bob", hold)];
    // It reports nothing any more, as a process that was killed.
    const eve = await enrol(coordinator);
    await eve.plan();
    await eve.transport.close();
    const dan = join(coordinator, "dan");
    await expect.poll(() => dan.seen("accepted"), { timeout: 30_000 }).toHaveLength(1);
    release();

    const { round, moved } = await outcome(coordinator, ann);
    expect(round).toMatchObject({ planned: 4, accepted: 3, dropouts: 1 });
    expect(moved).toEqual([1]);
    expect(bob.seen("accepted")).toHaveLength(1);
  });

  test("at 60 % of its upload does not keep the round from its end", async () => {
    const coordinator = await serve({ deadlines: { silenceMs: 1000 } });
    const [ann] = [join(coordinator, "ann"), join(coordinator, "bob")];
    const eve = await enrol(coordinator);
    const { planId } = await eve.plan();
    const bytes = writeSafetensors(filled(wideLayout, 9));
    const { uploadId } = await eve.begin(planId, bytes);
    for (const chunk of chunksFrom(bytes).slice(0, 3)) await eve.putChunk(uploadId, chunk);
    await eve.transport.close();

    const { round, moved } = await outcome(coordinator, ann);
    expect(round).toMatchObject({ planned: 3, accepted: 2, dropouts: 1 });
    expect(moved).toEqual([1]);
  });

  test("at 60 % of its upload and comes back sends the rest only, and trains nothing again", async () => {
    const coordinator = await serve();
    const { opened, open: release } = gate();
    const [ann] = [join(coordinator, "ann", { training: { onStep: () => opened } }), join(coordinator, "bob")];
    const stop = new AbortController();
    const before = join(coordinator, "eve", {
      transport: cutAfter(coordinator, 3, () => stop.abort()),
      stop: stop.signal,
    });
    await before.ended;
    const again = join(coordinator, "eve");
    await expect.poll(() => again.seen("accepted"), { timeout: 30_000 }).toHaveLength(1);
    release();

    const { round, moved } = await outcome(coordinator, ann);
    const size = again.seen("uploading")[0]!.totalBytes;
    expect([before.trainer.trained.length, again.trainer.trained.length]).toEqual([1, 0]);
    expect(again.seen("uploading")[0]!.sentBytes).toBe(3 * chunkBytes);
    expect(round).toMatchObject({ planned: 3, accepted: 3, dropouts: 0, bytesUp: 3 * size });
    expect(moved).toEqual([1]);
  });
});

test("a coordinator that restarts in the middle of a round keeps what it accepted, and nobody trains twice", async () => {
  const coordinator = await serve();
  const { opened, open: release } = gate();
  const hold = { training: { onStep: () => opened } };
  const members = [join(coordinator, "ann"), join(coordinator, "bob", hold), join(coordinator, "eve", hold)];
  const [ann, bob, eve] = members as [Member, Member, Member];
  await expect.poll(() => ann.seen("accepted"), { timeout: 30_000 }).toHaveLength(1);
  await expect.poll(() => bob.trainer.trained.length + eve.trainer.trained.length).toBe(2);

  await coordinator.restart();
  release();

  const { round, moved } = await outcome(coordinator, bob);
  expect(round).toMatchObject({ planned: 3, accepted: 3, refused: 0, dropouts: 0 });
  expect(moved).toEqual([1]);
  expect(members.map(({ trainer }) => trainer.trained.length)).toEqual([1, 1, 1]);
});

test("a client with another base model gets no plan, and the round goes on", async () => {
  const coordinator = await serve({ cohort: { size: 2 } });
  const eve = join(coordinator, "eve", { baseModelHash: "cd".repeat(32) as BaseModelHash });
  await expect.poll(() => eve.seen("waiting")[0], { timeout: 30_000 }).toMatchObject({ reason: "no-run" });
  const [ann] = [join(coordinator, "ann"), join(coordinator, "bob")];

  const { round, moved } = await outcome(coordinator, ann);

  expect(round).toMatchObject({ planned: 2, accepted: 2 });
  expect(moved).toEqual([1]);
  expect(eve.seen("plan")).toHaveLength(0);
});

test("a client that names a run of another base model is told so, with both hashes", async () => {
  const coordinator = await serve({ cohort: { size: 2 } });
  const held = "cd".repeat(32);
  const eve = join(coordinator, "eve", { baseModelHash: held as BaseModelHash, runId: coordinator.runId });

  const failure = await eve.ended;

  expect(failure).toMatchObject({ code: "model-hash-mismatch", message: expect.stringContaining(held) as string });
});

test("a client without its model's files says which folder, before it speaks to anybody", async () => {
  const coordinator = await serve();
  const eve = join(coordinator, "eve", { baseModel: "/nowhere/model", baseModelHash: undefined });

  expect(await eve.ended).toMatchObject({
    code: "model-missing",
    message: expect.stringContaining("/nowhere/model") as string,
  });
  expect(eve.events).toEqual([]);
});

test("run specs that are wrong are refused with the field's name, and the run that there is goes on", async () => {
  const coordinator = await serve({ cohort: { size: 2 } });
  const admin = new AdminClient({ coordinator: coordinator.address });
  open.push(admin);
  const spec = wideSpec();
  const { adapter } = spec;
  const wrong: [object, string, string][] = [
    [{ ...spec, round: 3 }, "spec-invalid", "round"],
    [{ ...spec, adapter: { ...adapter, rank: 0 } }, "spec-invalid", "adapter.rank"],
    [{ ...spec, adapter: { ...adapter, targetModules: ["quary"] } }, "target-modules-unmatched", "quary"],
    [{ ...spec, model: { hash: "cd".repeat(32) } }, "model-missing", "cdcdcd"],
  ];

  for (const [changed, code, name] of wrong) {
    const refused = await admin.createRun(changed as RunSpec).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code, message: expect.stringContaining(name) as string });
  }

  expect(await admin.listRuns()).toHaveLength(1);
  const [ann] = [join(coordinator, "ann"), join(coordinator, "bob")];
  expect((await outcome(coordinator, ann)).moved).toEqual([1]);
});

/** The client's own transport, in a process that dies when the coordinator has so many chunks. */
function cutAfter(coordinator: RealCoordinator, chunks: number, die: () => void): Transport {
  const transport = createGrpcTransport(coordinator.address);
  const putChunks: Transport["putChunks"] = async (uploadId, source, signal) => {
    const some = async function* (): AsyncGenerator<BlobChunk> {
      let sent = 0;
      for await (const chunk of source) {
        yield chunk;
        if (++sent === chunks) return;
      }
    };
    const reached = await transport.putChunks(uploadId, some(), signal);
    die();
    return reached;
  };
  return new Proxy(transport, {
    get: (target, name) => {
      if (name === "putChunks") return putChunks;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
