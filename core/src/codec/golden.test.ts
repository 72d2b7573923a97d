import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { codecOf, openEncoded } from "./codec.js";

/** See testdata/codec/generate.py. */
const golden = JSON.parse(readFileSync(new URL("../../../testdata/codec/golden.json", import.meta.url), "utf8")) as {
  readonly int8: readonly { block: number; values: number[]; quantised: number[]; scales: number[] }[];
  readonly topk: readonly {
    sizes: number[];
    density: number;
    nonzero: [number, number][];
    kept: number[];
    kind: "indices" | "bitmap" | "gaps";
    stored: number[];
  }[];
};

describe("as computed by numpy:", () => {
  test.each(golden.int8)("int8 in blocks of $block", ({ block, values, quantised, scales }) => {
    const layout = [{ name: "w", dtype: "F32", shape: [values.length] }] as const;

    const encoded = codecOf(`int8:${block}`).encode(layout, () => Float32Array.from(values));

    expect([...new Int8Array(encoded.get("w")!.bytes.buffer)]).toEqual(quantised);
    expect([...new Float32Array(encoded.get("w.scale")!.bytes.buffer)]).toEqual(scales);
  });

  test.each(golden.topk)("topk, $kind of $density", ({ sizes, density, nonzero, kept, kind, stored }) => {
    const flat = new Float32Array(sizes.reduce((sum, size) => sum + size));
    for (const [index, value] of nonzero) flat[index] = value;
    const layout = sizes.map((size, i) => ({ name: `t${i}`, dtype: "F32", shape: [size] }) as const);
    const startOf = (name: string): number =>
      sizes.slice(0, Number(name.slice(1))).reduce((sum, size) => sum + size, 0);
    const valuesOf = (name: string): Float32Array =>
      flat.slice(startOf(name), startOf(name) + sizes[Number(name.slice(1))]!);
    const codec = codecOf(`topk:${density.toFixed(6).replace(/^1\.0+$/, "1")}`);

    const encoded = codec.encode(layout, valuesOf);

    const bytes = encoded.get(`sparse.${kind}`)!.bytes.slice();
    expect([...(kind === "indices" ? new Int32Array(bytes.buffer) : bytes)]).toEqual(stored);
    expect([...new Float32Array(encoded.get("sparse.values")!.bytes.buffer)]).toEqual(kept);

    const tensor = openEncoded(codec.decoder(layout), encoded);
    const decoded = layout.flatMap(({ name }) => [...tensor(name)]);
    const magnitude = Math.min(...kept.map(Math.abs));
    expect(decoded.filter((value) => value !== 0)).toEqual(kept.filter((value) => value !== 0));
    const isRight = (value: number, i: number): boolean =>
      value === flat[i] || (value === 0 && Math.abs(flat[i]!) <= magnitude);
    expect(decoded.every(isRight)).toBe(true);
  });
});
