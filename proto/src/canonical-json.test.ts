import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson, type JsonValue } from "./canonical-json.js";

// Python 3.11: json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
const golden = '{"A":[1,2.5,null,true],"a":{"x":"\\"é\\n","y":{}},"b":-3}';

test("keys are sorted, white space is left out", () => {
  const value = { b: -3, a: { y: {}, x: '"é\n' }, A: [1, 2.5, null, true] };

  expect(canonicalJson(value)).toBe(golden);
});

test("equal values give equal text, whatever the order of their keys", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const reversed = Object.fromEntries(Object.entries(value).reverse());
      expect(canonicalJson(reversed as JsonValue)).toBe(canonicalJson(value as JsonValue));
      expect(JSON.parse(canonicalJson(value as JsonValue))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("undefined members are left out, numbers without a JSON form are refused", () => {
  expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}');
  expect(() => canonicalJson([Number.NaN])).toThrow(TypeError);
});
