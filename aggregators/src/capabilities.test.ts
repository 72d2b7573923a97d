import { expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import { assertCombination, clientMismatch, requestOf } from "./capabilities.js";
import type { MethodRequest } from "./capabilities.js";
import { compileMethod } from "./compile-method.js";
import type { ClientCapability, MethodCapabilities, MethodDefinition } from "./method.js";
import { fedavg } from "./method/fedavg.js";
import { createMethodRegistry } from "./registry.js";
import { testSpec } from "./testing/memory.js";

const narrow: MethodDefinition = {
  ...(fedavg as MethodDefinition),
  name: "narrow",
  capabilities: {
    ...fedavg.capabilities,
    sees: "individual-updates",
    codecs: ["f32"],
    variants: ["lora"],
    weightings: ["uniform"],
    privacyUnits: [],
  },
};
const sound = requestOf(testSpec({ weighting: { kind: "uniform" } }));

test("a sound combination passes", () => {
  expect(() => assertCombination(narrow, sound)).not.toThrow();
});

const unsound: [Partial<MethodRequest>, string, string][] = [
  [{ codec: "f16" }, "codec", "f32"],
  [{ weighting: "by-examples" }, "weighting.kind", "uniform"],
  [{ variant: "rslora" }, "adapter", "lora"],
  [{ ranks: "prefix" }, "rankPlan.kind", "equal"],
  [{ privacyUnit: "client" }, "privacy.mode", "none"],
  [{ secureSum: true }, "secureAggregation", "plain updates"],
];
test.each(unsound)("%o is refused, naming the field and what is allowed", (change, field, allowed) => {
  expect(() => assertCombination(narrow, { ...sound, ...change })).toThrow(
    expect.objectContaining({
      code: "spec-combination-refused",
      message: expect.stringContaining(`allowed: ${allowed}`),
      details: { method: "narrow", field },
    }),
  );
});

const budget = { epsilon: 1, delta: 1e-5, clipNorm: 1 };
const client = { mode: "client", ...budget, population: 100 } as const;
const local = { mode: "local", ...budget } as const;
test.each([
  ["fedavg", client, true],
  ["fed-sb", client, true],
  ["legend", client, false],
  ["krum", client, false],
  ["fedex-lora", client, false],
  ["fedex-lora", local, true],
  ["krum", local, true],
  ["q-ffl", local, false],
])("method %s in a private run of %o: %s", (name, privacy, isAllowed) => {
  const variant = name === "fed-sb" ? "latent" : "lora";
  const spec = testSpec({
    method: { name, ...(name === "krum" ? { options: { byzantine: 0 } } : {}) },
    adapter: { rank: 4, targetModules: ["query"], variant },
    weighting: { kind: "uniform" },
    privacy,
  });
  const definition = builtinMethods.get(name)!;
  const check = (): void => assertCombination(definition, requestOf(spec));
  if (isAllowed) expect(check).not.toThrow();
  else expect(check).toThrow(expect.objectContaining({ code: "spec-combination-refused" }));
});

test.each<[MethodCapabilities["ranks"], MethodCapabilities["ranks"], boolean]>([
  ["equal", "equal", true],
  ["any", "depth", true],
  ["prefix", "equal", true],
  ["prefix", "prefix", true],
  ["prefix", "depth", false],
  ["equal", "any", false],
])("a method of %s ranks takes %s ranks: %s", (ranks, requested, isAllowed) => {
  const definition = { ...narrow, capabilities: { ...narrow.capabilities, ranks } };
  const check = (): void => assertCombination(definition, { ...sound, ranks: requested });
  if (isAllowed) expect(check).not.toThrow();
  else expect(check).toThrow();
});

test("a rank pattern leaves ranks equal between clients", () => {
  const spec = testSpec({ adapter: { rank: 4, targetModules: ["query"], rankPattern: { query: 8 } } });
  expect(requestOf(spec).ranks).toBe("equal");
});

test("compiling a method checks the run spec", () => {
  const spec = testSpec({ method: { name: "narrow" }, codec: "bf16", weighting: { kind: "uniform" } });
  expect(() => compileMethod({ spec, adapterLayout: [], scalings: {} }, createMethodRegistry([narrow]))).toThrow(
    expect.objectContaining({ code: "spec-combination-refused" }),
  );
  const rslora = testSpec({
    method: { name: "narrow" },
    adapter: { rank: 2, targetModules: "all-linear", rslora: true },
    weighting: { kind: "uniform" },
  });
  expect(() =>
    compileMethod({ spec: rslora, adapterLayout: [], scalings: {} }, createMethodRegistry([narrow])),
  ).toThrow(/rslora/);
});

test("a client that lacks a codec, a directive or the rank is passed over with a reason", () => {
  const able: ClientCapability = {
    clientId: "c" as never,
    maxRank: 8,
    ranks: undefined,
    directives: ["proximal@1"],
    codecs: ["f32", "f16"],
  };
  const adapterLayout = [{ name: "m.lora_A.weight", dtype: "F32", shape: [8, 3] } as const];
  const method = compileMethod({ spec: testSpec(), adapterLayout, scalings: {} });
  const plan = {
    ...method.prepare("train", method.initialState(), able),
    directives: [{ kind: "proximal", version: 1, mu: 0.1 } as const],
  };
  expect(clientMismatch(able, plan, "f32")).toBeUndefined();
  expect(clientMismatch({ ...able, maxRank: undefined }, plan, "f32")).toBeUndefined();
  expect(clientMismatch(able, plan, "bf16")).toContain("codec bf16");
  expect(clientMismatch({ ...able, directives: [] }, plan, "f32")).toContain("proximal@1");
  expect(clientMismatch({ ...able, maxRank: 7 }, plan, "f32")).toContain("needs 8");
});
