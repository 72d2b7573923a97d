import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileRunSpec } from "../run-spec/compile.js";
import { parsePlanInstructions, planInstructionsBytes } from "./instructions.js";
import type { PlanInstructions } from "./round-plan.js";

const { task, adapter, training } = compileRunSpec({
  name: "spam",
  model: { hash: "ab".repeat(32) },
  task: { kind: "sequence-classification", labels: ["ham", "spam"] },
  adapter: { rank: 8, targetModules: ["query"], rankPattern: { "b.query": 2, "a.query": 4 } },
  rounds: 1,
  cohort: { size: 1 },
});
const spec = { name: "w", dtype: "F32", shape: [2, 3] } as const;
const instructions: PlanInstructions = {
  format: "fedlora-instructions/1",
  task,
  adapter,
  training,
  roles: [{ spec, trained: true, uploaded: true, downloaded: true, keep: "none" }],
  updateForm: "delta",
  uploadLayout: [spec],
  codec: "f32",
  directives: [{ kind: "proximal", version: 1, mu: 0.01 }],
  keepOptimizerState: false,
  seed: 7,
};
const parse = (json: unknown): PlanInstructions =>
  parsePlanInstructions(new TextEncoder().encode(JSON.stringify(json)));

describe("plan instructions", () => {
  test("come back from their bytes as they were", () => {
    expect(parsePlanInstructions(planInstructionsBytes(instructions))).toEqual(instructions);
  });

  test("have the same bytes whatever the order of their keys", () => {
    const reversed = Object.fromEntries(Object.entries(instructions).reverse()) as unknown as PlanInstructions;

    expect(planInstructionsBytes(reversed)).toEqual(planInstructionsBytes(instructions));
  });

  test("with a directive, or a version of one, that is not known are refused as such", () => {
    for (const directive of [
      { kind: "proximal", version: 2, mu: 1, extra: true },
      { kind: "mask", version: 1 },
    ]) {
      expect(() => parse({ ...instructions, directives: [directive] })).toThrow(
        expect.objectContaining({
          code: "directive-unknown",
          details: { directive: `${directive.kind}@${directive.version}` },
        }),
      );
    }
  });

  test.each<[string, unknown, RegExp]>([
    ["an unknown field", { ...instructions, shell: "rm" }, /shell/],
    ["another format", { ...instructions, format: "x" }, /format/],
    [
      "a directive's number out of range",
      { ...instructions, directives: [{ kind: "proximal", version: 1, mu: 0 }] },
      /directives\.0\.mu/,
    ],
    [
      "a tensor with two roles",
      { ...instructions, roles: [...instructions.roles, ...instructions.roles] },
      /same tensor/,
    ],
    [
      "a layout out of order",
      { ...instructions, uploadLayout: [spec, { ...spec, name: "a" }] },
      /order of their names/,
    ],
    ["a huge tensor", { ...instructions, uploadLayout: [{ ...spec, shape: [2 ** 52, 8] }] }, /too large/],
    ["a rank of 0", { ...instructions, adapter: { ...adapter, rank: 0 } }, /adapter\.rank/],
    ["a batch of 0", { ...instructions, training: { ...training, batchSize: 0 } }, /training\.batchSize/],
    ["a seed of -1", { ...instructions, seed: -1 }, /seed/],
    ["a name that is a prototype", { ...instructions, uploadLayout: [{ ...spec, name: "__proto__" }] }, /not allowed/],
    ["a list", [], /the whole/],
  ])("with %s are refused by the field", (_, json, reason) => {
    expect(() => parse(json)).toThrow(expect.objectContaining({ code: "request-invalid" }));
    expect(() => parse(json)).toThrow(reason);
  });

  test("of any bytes are read or refused with a code", () => {
    const bytes = planInstructionsBytes(instructions);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, byte, cut) => {
        for (const damaged of [bytes.with(at, byte), bytes.subarray(0, cut)]) {
          try {
            parsePlanInstructions(damaged);
          } catch (error) {
            expect(["request-invalid", "directive-unknown"]).toContain((error as { code?: string }).code);
          }
        }
      }),
      { numRuns: 300 },
    );
    expect(() => parsePlanInstructions(Uint8Array.of(0xff))).toThrow(/is not JSON/);
    expect(() => parsePlanInstructions(new Uint8Array(16 * 1024 * 1024 + 1))).toThrow(/at most 16777216/);
  });
});
