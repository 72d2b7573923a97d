import { FedLoraError } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { linearManifest } from "../linear/linear-model.js";
import { scenarioJsonSchema } from "./explain-scenario.js";
import { parseScenario } from "./parse-scenario.js";
import { variantScenario } from "./variant-scenario.js";
import { merged, variantNames, variantSpec } from "./variant-spec.js";

const text = `
name: first
data: { kind: synthetic }
partition: { kind: iid, clients: 20 }
model: { kind: linear }
run:
  adapter: { rank: 4, targetModules: all-linear }
  rounds: 3
  cohort: { size: 5 }
variants:
  fedavg: {}
  frozen: { method: { name: ffa-lora } }
`;
const manifest = linearManifest(20, 4);
const labels = ["0", "1", "2", "3"];
const refusal = (run: () => unknown): FedLoraError => {
  try {
    run();
  } catch (error) {
    if (error instanceof FedLoraError) return error;
    throw error;
  }
  throw new Error("it was accepted");
};

test("a short scenario gets its defaults", () => {
  const scenario = parseScenario(text);
  expect(scenario.seeds).toEqual([0]);
  expect(scenario.data).toMatchObject({ examples: 2000, test: 0.2, heldOut: 0 });
  expect(scenario.devices.classes).toMatchObject([{ name: "device", stepMs: 100 }]);
  expect(scenario.devices.availability).toEqual({ kind: "always" });
});

test.each<[string, string, RegExp]>([
  ["name:", "nmae:", /nmae is not a field; did you mean "name"\?/],
  ["kind: iid", "kind: idd", /partition\.kind got "idd": allowed are iid, dirichlet, quantity, by-key/],
  ["clients: 20", "clients: 0", /partition\.clients got 0: Virtual clients; 1 to 1000000/],
  ["kind: synthetic", "kind: mnst", /data\.kind got "mnst": allowed are synthetic, mnist/],
  ["kind: synthetic", "kind: synthetic, exmples: 3", /data\.exmples is not a field; did you mean "examples"\?/],
  ["data: { kind: synthetic }", "", /data is missing: What is learnt from/],
  ["model: { kind: linear }", "model: { kind: linear, path: x }", /model\.path is not a field/],
  ["run:", "devices: { dropout: { prob: 2 } }\nrun:", /devices\.dropout\.prob got 2: .*0 to 1/],
  [
    "run:",
    "misbehaviour: [{ kind: sign-flop, share: 0.1 }]\nrun:",
    /misbehaviour\.0\.kind got "sign-flop": allowed are lost, .*; did you mean "sign-flip"\?/,
  ],
  ["name: first", "name: first\nname: second", /not YAML: .*unique/],
])("%s as %s is refused with what is allowed", (from, to, message) => {
  const error = refusal(() => parseScenario(text.replace(from, to)));
  expect(error.code).toBe("scenario-invalid");
  expect(error.message).toMatch(message);
});

const claimed = (claim: string) => text.replace("variants:", `claims: [{ says: S, ${claim} }]\nvariants:`);

test("claims name references as well", () => {
  const claims = claimed("metric: loss, of: frozen, atMost: (alone)");
  expect(() => parseScenario(claims)).toThrow(/there is no variant "\(alone\)"/u);
  expect(parseScenario(`${claims}\nreferences: [alone]`).references).toEqual(["alone"]);
});

test("years are in order and within the addresses", () => {
  const years = (range: string) => text.replace("kind: synthetic", `kind: state-of-the-union, years: ${range}`);
  expect(parseScenario(years("[1900, 1900]")).data).toMatchObject({ years: [1900, 1900] });
  expect(() => parseScenario(years("[1950, 1900]"))).toThrow(/data\.years.*the first year must not be after the last/u);
  expect(() => parseScenario(years("[1700, 1900]"))).toThrow(/data\.years/u);
});

test("claims name variants and metrics that there are", () => {
  const spaced = claimed("metric: bytesUp, of: frozen, atMost: all of it, factor: 0.5").replace(
    "fedavg:",
    "all of it:",
  );
  expect(parseScenario(spaced).claims).toMatchObject([{ of: "frozen", atMost: "all of it", factor: 0.5 }]);
});

test.each<[string, RegExp]>([
  [
    "metric: acuracy, of: frozen, atLeast: 0.5",
    /claims\.0\.metric got "acuracy": allowed are .*; did you mean "accuracy"\?/,
  ],
  ["metric: loss, of: frozn, atMost: fedavg", /claims\.0\.of: there is no variant "frozn"; did you mean "frozen"\?/],
  [
    "metric: loss, of: frozen, atMost: xyzzyx",
    /claims\.0\.atMost: there is no variant "xyzzyx"; there are fedavg, frozen/,
  ],
  ["metric: loss, of: frozen, atMost: frozen", /claims\.0\.of: "frozen" is compared with itself/],
  ["metric: loss, of: frozen", /claims\.0 .*give either atLeast or atMost/],
  ["metric: loss, of: frozen, atMost: 1, atLeast: 0", /give either atLeast or atMost/],
  ["metric: loss, of: frozen, atMost: 1, margin: 1", /leave them out beside a number/],
  ["metric: loss, of: frozen, atMost: 1, until: { loss: 1 }", /claims\.0\.until .*until is for rounds, virtualSeconds/],
  [
    "metric: rounds, of: frozen, atMost: 1, until: { loss: 1, accuracy: 1 }",
    /claims\.0\.until .*name one of its fields/,
  ],
  ["metric: rounds, of: frozen, atMost: 1, until: { acuracy: 1 }", /acuracy is not a field; did you mean "accuracy"\?/],
  ["metric: rounds, of: frozen, atmost: 1", /atmost is not a field; did you mean "atMost"\?/],
])("a claim with %s is refused", (claim, message) => {
  expect(refusal(() => parseScenario(claimed(claim))).message).toMatch(message);
});

test("the JSON Schema describes every field", () => {
  const missing: string[] = [];
  const walk = (node: ReturnType<typeof scenarioJsonSchema>, path: string): void => {
    for (const [name, field] of Object.entries(node.properties ?? {})) {
      const alternatives = field.oneOf ?? field.anyOf ?? [];
      if (field.description === undefined && field.const === undefined) missing.push(`${path}${name}`);
      for (const each of [field, ...alternatives, ...(field.items === undefined ? [] : [field.items])]) {
        walk(each, `${path}${name}.`);
      }
    }
  };
  walk(scenarioJsonSchema(), "");
  expect(missing).toEqual([]);
});

describe("a variant's run spec", () => {
  test("is the run with what the variant changes, the seed and the data's labels", () => {
    const scenario = parseScenario(text);
    expect(variantNames(scenario)).toEqual(["fedavg", "frozen"]);
    const spec = variantSpec(scenario, "frozen", 7, manifest, labels);
    expect(spec).toMatchObject({
      name: "first",
      method: { name: "ffa-lora" },
      task: { kind: "sequence-classification", labels },
      cohort: { size: 5, seed: 7 },
      training: { seed: 7 },
      evaluation: { every: 0 },
    });
    expect(variantSpec(scenario, "fedavg", 7, manifest, undefined).task.kind).toBe("causal-lm");
  });

  test.each<[string, string, RegExp]>([
    [
      "cohort: { size: 5 }",
      "cohrt: { size: 5 }",
      /run with variants\.frozen: cohrt is not a field; did you mean "cohort"\?/,
    ],
    ["rounds: 3", "rounds: 3\n  name: x", /run\.name is given by the scenario/],
    ["method: { name: ffa-lora }", "model: { hash: x }", /variants\.frozen\.model is given by the scenario/],
    ["rounds: 3", "rounds: 3\n  evaluation: { every: 1 }", /no client sets examples aside: set data\.heldOut/],
  ])("with %s as %s is refused by its place", (from, to, message) => {
    const error = refusal(() => variantSpec(parseScenario(text.replace(from, to)), "frozen", 0, manifest, labels));
    expect(error.code).toBe("scenario-invalid");
    expect(error.message).toMatch(message);
  });

  test("that does not exist is refused", () => {
    expect(refusal(() => variantSpec(parseScenario(text), "other", 0, manifest, labels)).message).toMatch(
      /no variant "other"; there are fedavg, frozen/,
    );
  });
});

describe("a variant's federation", () => {
  const written = (variant: string): string => text.replace("fedavg: {}", `fedavg: ${variant}`);

  test("is the scenario's but for what the variant changes, and no part of its run spec", () => {
    const scenario = parseScenario(
      written("{ partition: { clients: 50 }, misbehaviour: [{ kind: sign-flip, share: 0.2 }], rounds: 7 }"),
    );
    const own = variantScenario(scenario, "fedavg");
    expect(own.partition).toEqual({ kind: "iid", clients: 50 });
    expect(own.misbehaviour).toHaveLength(1);
    expect(own.devices).toEqual(scenario.devices);
    expect(variantSpec(scenario, "fedavg", 0, manifest, labels).rounds).toBe(7);
    expect(variantScenario(scenario, "frozen")).toBe(scenario);
  });

  test.each<[string, RegExp]>([
    ["{ partition: { clints: 50 } }", /^variants\.fedavg\.partition\.clints is not a field; did you mean "clients"\?/],
    ["{ partition: { clients: 0 } }", /^variants\.fedavg\.partition\.clients got 0: /],
    ["{ partition: { kind: dirichlet, clients: 5 } }", /^variants\.fedavg\.partition\.alpha is missing/],
  ])("%s is refused by its place", (variant, message) => {
    const error = refusal(() => parseScenario(written(variant)));
    expect(error.code).toBe("scenario-invalid");
    expect(error.message).toMatch(message);
  });
});

test("objects are merged, those of another kind or name replaced", () => {
  const base = { optimizer: { kind: "adamw", beta1: 0.9 }, cohort: { size: 5, seed: 1 }, list: [1] };
  expect(merged(base, { optimizer: { kind: "sgd" }, cohort: { size: 6 }, list: [2] })).toEqual({
    optimizer: { kind: "sgd" },
    cohort: { size: 6, seed: 1 },
    list: [2],
  });
});
