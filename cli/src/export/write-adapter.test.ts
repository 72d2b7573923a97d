import { fromFloat32, taskSchema } from "@fedlora/core";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assertExportOptions } from "./export-run.js";
import { slowNotes } from "./slow-notes.js";
import { assertFolderFits, writeAdapterFolder } from "./write-adapter.js";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "fedlora-export-"));
});
afterAll(() => rm(scratch, { recursive: true }));

async function folderWith(...names: string[]): Promise<string> {
  const folder = await mkdtemp(join(scratch, "out-"));
  for (const name of names) await writeFile(join(folder, name), "");
  return folder;
}

test.each([
  ["adapter", "config.json"],
  ["adapter", "model.safetensors"],
  ["adapter", "model.safetensors.index.json"],
  ["model", "config.json"],
  ["model", "model-00001-of-00002.safetensors"],
  ["model", "pytorch_model.bin"],
  ["model", "adapter_config.json"],
  ["model", "adapter_model.safetensors"],
] as const)("where an %s is written, %s is in the way", async (kind, name) => {
  await expect(assertFolderFits(await folderWith(name), kind)).rejects.toMatchObject({
    code: "config-invalid",
    details: { file: name },
  });
});

test("a folder that is not there, empty, or holds an earlier adapter is fine for an adapter", async () => {
  const earlier = await folderWith(
    "adapter_config.json",
    "adapter_model.safetensors",
    "fedlora_task.json",
    "notes.txt",
  );

  await assertFolderFits(join(scratch, "none"), "model");
  await assertFolderFits(await folderWith(), "model");
  await assertFolderFits(earlier, "adapter");
  await expect(assertFolderFits(join(earlier, "notes.txt"), "adapter")).rejects.toMatchObject({
    code: "config-invalid",
  });
});

test("an adapter's folder has its weights, its config and its task, from values or from a file as it is", async () => {
  const task = taskSchema.parse({ kind: "sequence-classification", labels: ["a", "b"] });
  const tensors = new Map([["x", fromFloat32(Float32Array.of(1, 2), [2])]]);
  const [one, other] = [join(scratch, "a", "b"), join(scratch, "c")];

  const bytes = await writeAdapterFolder(one, tensors, { r: 3 }, task);
  await mkdir(other);
  await writeAdapterFolder(other, await readFile(join(one, "adapter_model.safetensors")), { r: 3 }, task);

  expect((await readdir(one)).sort()).toEqual([
    "adapter_config.json",
    "adapter_model.safetensors",
    "fedlora_task.json",
  ]);
  for (const name of await readdir(one)) {
    expect((await readFile(join(one, name))).equals(await readFile(join(other, name)))).toBe(true);
  }
  expect((await readFile(join(one, "adapter_model.safetensors"))).byteLength).toBe(bytes);
  expect(JSON.parse(await readFile(join(one, "adapter_config.json"), "utf8"))).toEqual({ r: 3 });
});

test.each([
  [{ form: "merged" }, "--model FOLDER"],
  [{ form: "peft", model: "base" }, "--model goes with --form merged"],
  [{ form: "stacked", rank: 3 }, "--rank goes with --form truncated"],
])("%j is refused before a coordinator is asked", (options, message) => {
  expect(() => assertExportOptions(options)).toThrow(expect.objectContaining({ code: "config-invalid" }));
  expect(() => assertExportOptions(options)).toThrow(message);
});

test("quick tasks are silent, slow ones speak every two seconds", () => {
  let now = 0;
  const said: string[] = [];
  const note = slowNotes({ now: () => now }, (text) => said.push(text));
  for (now = 0; now <= 6000; now += 500) note(`${now}`);

  expect(said).toEqual(["2000", "4000", "6000"]);
});
