import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { itemSize } from "../tensor/dtype.js";
import { elementCount } from "../tensor/tensor.js";
import { codecFamilies, codecOf } from "./codec.js";

const page = readFileSync(new URL("../../../docs/reference/codecs.md", import.meta.url), "utf8");
/** RoBERTa-large, query and value, rank 8: A [8, 1024] and B [1024, 8] of 48 modules. */
const layout = Array.from({ length: 96 }, (_, i) => ({ name: `t${i}`, dtype: "F32", shape: [8, 1024] }) as const);

test("the page of codecs states the sizes that there are", () => {
  const rows = [...page.matchAll(/^\| `([a-z0-9:.]+)` +\| +([0-9,]+) \| +([0-9.]+) % \| (\w*) +\|$/gm)];

  expect(rows.length).toBeGreaterThan(7);
  for (const [, name = "", bytes, share, kind] of rows) {
    const encoded = codecOf(name).encodedLayout(layout);
    const size = encoded.reduce((sum, { dtype, shape }) => sum + itemSize[dtype] * elementCount(shape), 0);
    const indices = encoded.find((spec) => spec.name.startsWith("sparse.") && spec.name !== "sparse.values")?.name;

    expect([name, size.toLocaleString("en-US"), ((100 * size) / (4 * 786_432)).toFixed(1), indices]).toEqual([
      name,
      bytes,
      share,
      kind === "" ? undefined : `sparse.${kind}`,
    ]);
  }
});

test("the page of codecs names every family", () => {
  for (const family of codecFamilies.keys()) expect(page).toMatch(new RegExp(`^\\| \`${family}[:\`]`, "m"));
});
