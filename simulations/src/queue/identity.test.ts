import { expect, test } from "vitest";
import { assertSameContent, type Holder } from "./identity.js";

const holder = (name: string, changes: { engine?: string; data?: string; model?: string } = {}): Holder => ({
  name,
  engine: { name: "linear", fingerprint: changes.engine ?? "one", directives: [] },
  data: changes.data ?? "d".repeat(64),
  model: changes.model ?? "e".repeat(64),
});

test("whoever has another engine, other data or another base model is named, and so is the other", () => {
  expect(() => assertSameContent(holder("a/1"), holder("b/2"))).not.toThrow();
  expect(() => assertSameContent(holder("a/1", { engine: "two" }), holder("b/2"))).toThrow(
    expect.objectContaining({ code: "engine-mixed", message: 'a/1 has the engine "two", b/2 has "one"' }),
  );
  for (const [key, what] of [
    ["data", "data"],
    ["model", "base model"],
  ] as const) {
    const message = `a/1 has the ${what} ${"0".repeat(12)}, b/2 has ${holder("")[key].slice(0, 12)}`;
    expect(() => assertSameContent(holder("a/1", { [key]: "0".repeat(64) }), holder("b/2"))).toThrow(
      expect.objectContaining({ code: "worker-mismatch", message }),
    );
  }
});
