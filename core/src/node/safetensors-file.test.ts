import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { layoutOf } from "../tensor/state-dict.js";
import { writeSafetensors } from "../tensor/safetensors.js";
import { fromFloat32, toFloat32 } from "../tensor/values.js";
import { replaceFile, writeFileAtomically } from "./files.js";
import { sha256OfFile } from "./hash.js";
import { SafetensorsFile, writeSafetensorsFile } from "./safetensors-file.js";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "fedlora-core-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const state = new Map([
  ["b", fromFloat32(Float32Array.of(1, 2, 3), [3])],
  ["a", fromFloat32(Float32Array.of(4.5), [1, 1], "F16")],
  ["nothing", fromFloat32(new Float32Array(0), [0, 4])],
  // The last in the file: where tensors are aligned, padding comes before it and nothing after.
  ["no bytes", { dtype: "I8" as const, shape: [0], bytes: new Uint8Array(0) }],
]);
const bytesOf = (name: string): Uint8Array => state.get(name)!.bytes;

describe("a safetensors file on disk", () => {
  test.each([false, true])("has the bytes of the writer in memory (every tensor aligned: %s)", async (alignTensors) => {
    const path = join(folder, "same.safetensors");
    const options = { alignment: 64, alignTensors, metadata: { k: "v" } };

    await writeSafetensorsFile(path, layoutOf(state), bytesOf, options);

    expect(readFileSync(path).equals(writeSafetensors(state, options))).toBe(true);
  });

  test("is read tensor by tensor, into a given buffer where it fits", async () => {
    const path = join(folder, "read.safetensors");
    await writeSafetensorsFile(path, layoutOf(state), bytesOf, { metadata: { k: "v" } });
    const buffer = new Uint8Array(12);

    const file = new SafetensorsFile(path);
    const large = file.read("b", buffer);
    const values = [...toFloat32(large)];
    const small = file.read("a", new Uint8Array(1));

    expect(values).toEqual([1, 2, 3]);
    expect(large.bytes.buffer).toBe(buffer.buffer);
    expect([...toFloat32(small)]).toEqual([4.5]);
    expect([...toFloat32(file.readPart("b", 1, 2))]).toEqual([2, 3]);
    expect(file.read("nothing")).toEqual({ dtype: "F32", shape: [0, 4], bytes: new Uint8Array(0) });
    expect(file.header.metadata.get("k")).toBe("v");
    expect(() => file.read("c")).toThrow(/no tensor "c"/);
    file.close();
    file.close();
  });

  test("that is missing, cut off or cut off while open is refused with the path", async () => {
    const path = join(folder, "cut.safetensors");
    await writeSafetensorsFile(path, layoutOf(state), bytesOf);
    const open = new SafetensorsFile(path);
    truncateSync(path, open.header.fileSize - 1);

    expect(() => new SafetensorsFile(join(folder, "none"))).toThrow(expect.objectContaining({ code: "file-missing" }));
    expect(() => new SafetensorsFile(path)).toThrow(/cut\.safetensors": .*truncated/);
    expect(() => open.read("a")).toThrow(expect.objectContaining({ code: "file-invalid" }));
    open.close();
    writeFileSync(path, "");
    expect(() => new SafetensorsFile(path)).toThrow(/at least 8 bytes/);
  });

  test("is not replaced when a tensor has the wrong size, and leaves nothing behind", async () => {
    const path = join(folder, "kept", "x.safetensors");
    const inner = join(folder, "kept");
    mkdirSync(inner);
    await replaceFile(path, "old");

    const writing = writeSafetensorsFile(path, layoutOf(state), () => new Uint8Array(3));

    await expect(writing).rejects.toMatchObject({ code: "tensor-invalid" });
    expect(readFileSync(path, "utf8")).toBe("old");
    expect(readdirSync(inner)).toEqual(["x.safetensors"]);
  });
});

describe("files", () => {
  test("are replaced whole or not at all", async () => {
    const path = join(folder, "atomic.txt");
    await replaceFile(path, "first");

    const failing = writeFileAtomically(path, async (file) => {
      await file.writeFile("half");
      throw new Error("power cut");
    });

    await expect(failing).rejects.toThrow("power cut");
    expect(readFileSync(path, "utf8")).toBe("first");
    await replaceFile(path, Uint8Array.of(0x6f, 0x6b));
    expect(readFileSync(path, "utf8")).toBe("ok");
  });

  test("are hashed whole or in ranges", async () => {
    const path = join(folder, "hash.bin");
    const bytes = Buffer.alloc(2_500_000, "pattern");
    writeFileSync(path, bytes);
    const hashOf = (part: Buffer): string => createHash("sha256").update(part).digest("hex");

    expect(await sha256OfFile(path)).toBe(hashOf(bytes));
    expect(await sha256OfFile(path, 1000, 1_200_000)).toBe(hashOf(bytes.subarray(1000, 1_201_000)));
    expect(await sha256OfFile(path, 10, 0)).toBe(hashOf(Buffer.alloc(0)));
    await expect(sha256OfFile(path, 0, bytes.length + 1)).rejects.toMatchObject({ code: "file-invalid" });
    await expect(sha256OfFile(join(folder, "none"))).rejects.toMatchObject({ code: "file-missing" });
  });
});
