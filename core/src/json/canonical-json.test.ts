import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalBytes, canonicalJson } from "./canonical-json.js";

describe("canonical JSON", () => {
  test("sorts keys by code units at every level and leaves undefined properties out", () => {
    const value = { b: [{ y: 1, x: undefined, "€": 2 }], a: null, Z: true, "\ufb33": 3, "😀": 4 };

    expect(canonicalJson(value)).toBe('{"Z":true,"a":null,"b":[{"y":1,"€":2}],"😀":4,"\ufb33":3}');
  });

  test("writes numbers as RFC 8785 does", () => {
    expect(canonicalJson([JSON.parse("333333333.33333329") as number, 1e30, 4.5, 2e-3, 1e-27, -0])).toBe(
      "[333333333.3333333,1e+30,4.5,0.002,1e-27,0]",
    );
  });

  test("reads back as the same value, and does not depend on the order of keys", () => {
    fc.assert(
      fc.property(fc.jsonValue({ depthSize: "medium" }), (value) => {
        const text = canonicalJson({ value });

        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify({ value })));
        expect(canonicalJson(JSON.parse(text, reverseKeys) as object)).toBe(text);
      }),
    );
  });

  test.each([
    ["NaN", { a: { b: [Number.NaN] } }, /NaN at \$\.a\.b\[0\]/],
    ["an infinity", [Infinity], /Infinity at \$\[0\]/],
    ["undefined in a list", [undefined], /undefined at \$\[0\]/],
    ["a function", { f: () => 1 }, /function at \$\.f/],
    ["a bigint", { n: 1n }, /bigint at \$\.n/],
    ["a Map", new Map(), /class at \$/],
    ["bytes", new Uint8Array(1), /class at \$/],
  ])("refuses %s", (_, value, reason) => {
    expect(() => canonicalJson(value)).toThrow(reason);
  });

  test("refuses a cycle", () => {
    const value: Record<string, unknown> = {};
    value["self"] = value;

    expect(() => canonicalJson(value)).toThrow(/100 levels/);
  });

  test("as bytes is UTF-8", () => {
    expect([...canonicalBytes(["€"])]).toEqual([0x5b, 0x22, 0xe2, 0x82, 0xac, 0x22, 0x5d]);
  });
});

function reverseKeys(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).reverse());
}
