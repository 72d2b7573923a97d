import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blobIdOf, codecOf, fromFloat32, toStateDict, writeSafetensors } from "@fedlora/core";
import type { ClientId, StateDict, TensorLayout } from "@fedlora/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { UpdateFile } from "./aggregation.js";
import { FileChunks, sharedChunks } from "./file-chunks.js";
import { UpdateReader } from "./update-reader.js";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fedlora-reader-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const layoutOf = (rank: number): TensorLayout => [
  { name: "a", dtype: "F32", shape: [rank, 3] },
  { name: "b", dtype: "F32", shape: [5, rank] },
];
/** Values that tell tensor, client and place apart, falling so that the first ones are the largest. */
const valuesOf = (name: string, client: number, rank: number): Float32Array =>
  Float32Array.from({ length: (name === "a" ? 3 : 5) * rank }, (_, i) => (name === "a" ? 1000 : -500) * client - i);

async function store(id: string, state: StateDict, layout: TensorLayout, codec: string): Promise<UpdateFile> {
  const bytes = writeSafetensors(state);
  const path = join(folder, id);
  await writeFile(path, bytes);
  const numbers = { weight: 1, fullWeight: 1, numExamples: 1, numSteps: 1, staleness: 0, receivedLoss: undefined };
  return { blobId: blobIdOf(bytes), path, id, clientId: id as ClientId, layout, codec, ...numbers };
}
const storeClient = (client: number, rank: number, codec: string): Promise<UpdateFile> => {
  const layout = layoutOf(rank);
  const encoded = codecOf(codec).encode(layout, (name) => valuesOf(name, client, rank));
  return store(`${codec}-${client}`, encoded, layout, codec);
};
const chunksOf = (update: UpdateFile): FileChunks => FileChunks.all(sharedChunks([update]))[0]!;
const firstOf = (reader: UpdateReader, update: UpdateFile, name: string): [number | undefined, number, unknown] => {
  let result: [number | undefined, number, unknown] | undefined;
  reader.visit(update, chunksOf(update), (view) => {
    const values = view.tensor(name);
    result = [values[0], values.length, view.shape(name)];
  });
  return result!;
};

test("one round may hold clients of several ranks and codecs, visited in turn and again", async () => {
  const reader = new UpdateReader();
  const updates = await Promise.all([
    storeClient(1, 4, "f32"),
    storeClient(2, 2, "topk:.4"),
    storeClient(3, 2, "topk:.4"),
    storeClient(4, 1, "f16"),
    storeClient(5, 4, "topk:.4"),
    storeClient(6, 2, "topk:1"),
  ]);
  const ranks = [4, 2, 2, 1, 4, 2];

  for (const turn of [0, 1]) {
    updates.forEach((update, k) => {
      const [client, rank] = [k + 1, ranks[k]!];
      // Of all values the largest four tenths are those of a and the last of b.
      expect([turn, ...firstOf(reader, update, "a")]).toEqual([turn, 1000 * client, 3 * rank, [rank, 3]]);
      expect(firstOf(reader, update, "b")).toEqual([
        update.codec === "topk:.4" ? 0 : -500 * client,
        5 * rank,
        [5, rank],
      ]);
    });
  }
});

test("a tensor that the client does not hold has no shape and is refused by update and name", async () => {
  const reader = new UpdateReader();
  const update = await storeClient(1, 2, "int8");

  reader.visit(update, chunksOf(update), (view) => {
    expect(view.shape("c")).toBeUndefined();
    expect(view.shape("a.scale")).toBeUndefined();
    expect(() => view.tensor("c")).toThrow(
      expect.objectContaining({ code: "update-tensor-missing", details: { updateId: update.id, tensor: "c" } }),
    );
  });
});

test.each<
  [string, string, (state: Map<string, StateDict extends ReadonlyMap<string, infer T> ? T : never>) => unknown]
>([
  ["update-dtype", "a", (state) => state.set("a", fromFloat32(new Float32Array(6), [2, 3], "F16"))],
  ["update-shape", "a", (state) => state.set("a", fromFloat32(new Float32Array(6), [3, 2]))],
  ["update-tensor-missing", "b", (state) => state.delete("b")],
  ["update-tensor-unexpected", "c", (state) => state.set("c", fromFloat32(new Float32Array(1), [1]))],
])("a file that is not of the update's own layout is refused: %s", async (code, tensor, change) => {
  const state = new Map(codecOf("f32").encode(layoutOf(2), (name) => valuesOf(name, 1, 2)));
  change(state);
  const update = await store(`bad-${code}`, toStateDict(state), layoutOf(2), "f32");

  expect(() => new UpdateReader().visit(update, chunksOf(update), () => undefined)).toThrow(
    expect.objectContaining({ code, details: { updateId: update.id, tensor } }),
  );
});
