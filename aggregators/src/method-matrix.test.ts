import { referenceModules } from "@fedlora/core";
import { describe, expect, test } from "vitest";
import { builtinMethods } from "./builtin.js";
import { methodMatrix } from "./method-matrix.js";

const rank8 = { model: "roberta-large", rank: 8, targetModules: ["query", "value"], contributors: 10 };
const tiny = { model: "tinyllama-1.1b", rank: 16, targetModules: ["q_proj", "v_proj"], contributors: 10 };
const mistral = { model: "mistral-7b", rank: 32, targetModules: "all-linear", contributors: 25 };
/** A alone and B alone: r dIn and r dOut, summed over the modules. */
const sizes = [
  { ...rank8, a: 393_216, b: 393_216, baseDelta: 7_864_320 - 786_432 },
  { ...tiny, a: 1_441_792, b: 811_008, baseDelta: 22_528_000 - 2_252_800 },
  { ...mistral, a: 39_845_888, b: 44_040_192, baseDelta: 2_097_152_000 - 83_886_080 },
];

describe.each(sizes)("values that travel for $model at rank $rank", ({ model, a, b, baseDelta, ...rest }) => {
  const rows = methodMatrix(builtinMethods.values(), { model: referenceModules(model), ...rest });
  const traffic = new Map(
    rows.map((row) => [row.name, row.rounds.map(({ valuesUp, valuesDown }) => [valuesUp, valuesDown])]),
  );
  const both = (up: number, down = up): number[][] => [
    [up, down],
    [up, down],
  ];
  const latent = rest.rank ** 2 * modulesOf(model, rest.targetModules);
  const expected: Readonly<Record<string, number[][]>> = {
    fedavg: both(a + b),
    "lora-fair": both(a + b),
    flexlora: both(a + b),
    "fedex-lora": both(a + b),
    "ffa-lora": both(b),
    "fedsa-lora": both(a),
    "fed-sb": both(latent),
    rolora: [
      [b, a],
      [a, b],
    ],
  };

  test.each(Object.keys(expected).filter((name) => builtinMethods.has(name)))("%s", (name) => {
    expect(traffic.get(name)).toEqual(expected[name]);
  });

  test.runIf(builtinMethods.has("fedex-lora"))("fedex-lora sends each residual once more, at rank (m - 1) r", () => {
    expect(rows.find(({ name }) => name === "fedex-lora")?.valuesBaseDelta).toBe(baseDelta);
  });

  test("files are the tensors and a header", () => {
    for (const { name, rounds, capabilities } of rows) {
      for (const { valuesUp, valuesDown, fileBytesUp, fileBytesDown } of rounds) {
        if (name === "flasc") continue;
        expect(capabilities.codecs).toContain("f32");
        expect(fileBytesUp - 4 * valuesUp).toBeLessThan(1_000_000);
        expect(fileBytesDown).toBeGreaterThanOrEqual(4 * valuesDown);
      }
    }
  });
});

function modulesOf(model: string, targets: readonly string[] | string): number {
  const { modules } = referenceModules(model);
  return modules.filter(({ name }) => typeof targets === "string" || targets.some((end) => name.endsWith(`.${end}`)))
    .length;
}

/** exact, ranks may differ between clients, personal, secure sums suffice, edits the base, keeps state on the client. */
const published: Readonly<Record<string, readonly boolean[]>> = {
  fedavg: [false, false, false, true, false, false],
  "fedex-lora": [true, false, false, false, true, false],
  "ffa-lora": [true, true, false, true, false, false],
  "fedsa-lora": [false, false, true, true, false, true],
  "fed-sb": [true, true, false, true, false, false],
  "lora-fair": [false, false, false, false, false, false],
  flasc: [false, false, false, true, false, false],
  flora: [true, true, false, false, true, false],
  flexlora: [false, true, false, false, false, false],
  hetlora: [false, true, false, false, false, false],
  rolora: [true, false, false, true, false, false],
  krum: [false, false, false, false, false, false],
};

test.each(Object.keys(published).filter((name) => builtinMethods.has(name)))(
  "%s declares what is known of it",
  (name) => {
    const { modules, heads } = referenceModules("minilm-l6");
    const [row] = methodMatrix([builtinMethods.get(name)!], {
      model: { modules, heads },
      rank: 8,
      targetModules: ["query"],
      contributors: 5,
    });
    const { exact, ranks, personal, editsBase } = row!.capabilities;
    expect([exact, ranks !== "equal", personal, row!.secureSums, editsBase, row!.clientState.length > 0]).toEqual(
      published[name],
    );
  },
);

test("error feedback is off where a residual would be of another basis, or of an update that a rule may drop", () => {
  const { modules, heads } = referenceModules("minilm-l6");
  const request = { model: { modules, heads }, rank: 8, targetModules: ["query"], contributors: 20 };
  const without = methodMatrix(builtinMethods.values(), request).filter(({ errorFeedback }) => !errorFeedback);

  expect(without.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["flasc", "flora", "flexlora", "lora-lego", "krum", "trimmed-mean"]),
  );
  expect(without.map(({ name }) => name)).not.toContain("fedavg");
});
