import {
  adapterKeys,
  adapterSchema,
  type Directive,
  fromFloat32,
  moduleOfTensor,
  type PlanInstructions,
  RandomStream,
  randomKey,
  readSafetensors,
  type StateDict,
  type TensorSpec,
  toFloat32,
  toStateDict,
} from "@fedlora/core";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  dataOf,
  openTinyWorkbench,
  peftFolder,
  type PeftGolden,
  readPeftGolden,
  requestOf,
  type TinyWorkbench,
  trainEverything,
} from "../testing/tiny-models.js";

const rank = 5;
const noSignal = new AbortController().signal;

let benches: Readonly<Record<"bert" | "llama", TinyWorkbench>>;
let golden: PeftGolden;
let expected: StateDict;
beforeAll(async () => {
  const [bert, llama] = await Promise.all([openTinyWorkbench("bert"), openTinyWorkbench("llama")]);
  benches = { bert, llama };
  golden = await readPeftGolden();
  expected = readSafetensors(await readFile(join(peftFolder, "sketches.safetensors"))).tensors;
});
afterAll(async () => {
  await benches.bert.remove();
  await benches.llama.remove();
});

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: ArrayLike<number>;
}
const of = (state: StateDict, name: string): Matrix => {
  const tensor = state.get(name)!;
  return { rows: tensor.shape[0]!, columns: tensor.shape[1] ?? 1, values: toFloat32(tensor) };
};
const transposed = ({ rows, columns, values }: Matrix): Matrix => ({
  rows: columns,
  columns: rows,
  values: Array.from({ length: rows * columns }, (_, at) => values[(at % rows) * columns + Math.floor(at / rows)]!),
});
const product = (a: Matrix, b: Matrix, factor = 1): Matrix => ({
  rows: a.rows,
  columns: b.columns,
  values: Array.from({ length: a.rows * b.columns }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < a.columns; k++) {
      sum += a.values[Math.floor(at / b.columns) * a.columns + k]! * b.values[k * b.columns + (at % b.columns)]!;
    }
    return factor * sum;
  }),
});

/** Largest difference over the largest expected value. */
function expectClose(got: Matrix, wanted: Matrix): void {
  expect([got.rows, got.columns]).toEqual([wanted.rows, wanted.columns]);
  const largest = Math.max(...Array.from(wanted.values, Math.abs));
  expect(largest).toBeGreaterThan(0);
  const difference = Array.from(got.values, (value, at) => Math.abs(value - wanted.values[at]!));
  expect(Math.max(...difference) / largest).toBeLessThan(1e-4);
}

/** A plan that asks for sketches of rank 5 where the run's adapters have another rank and form. */
async function sketchPlan(kind: "bert" | "llama", directive: Directive, batchSize = 4) {
  const plain = await benches[kind].readAdapter("plain");
  const stream = new RandomStream(randomKey(3));
  const start = toStateDict(
    [...plain.tensors].map(([name, tensor]) => {
      if (!name.includes("lora_")) return [name, tensor];
      const shape = name.includes("lora_A") ? [rank, tensor.shape[1]!] : [tensor.shape[0]!, rank];
      return [name, fromFloat32(stream.normals(shape[0]! * shape[1]!, 1), shape)];
    }),
  );
  const uploads = directive.kind === "gradient-sketch" ? /lora_[AB]/ : /lora_A/;
  const roles = [...start].map(([name, { dtype, shape }]): PlanInstructions["roles"][number] => {
    const isSketch = uploads.test(name);
    const spec: TensorSpec = { name, dtype, shape };
    return { spec, trained: isSketch, uploaded: isSketch, downloaded: true, keep: "none" };
  });
  const instructions = trainEverything(
    plain,
    { batchSize, localSteps: 1 },
    {
      adapter: adapterSchema.parse({ ...plain.spec, rank: 2, alpha: 6, variant: "latent" }),
      roles,
      updateForm: "sketch",
      uploadLayout: roles.filter(({ uploaded }) => uploaded).map(({ spec }) => spec),
      directives: [directive],
    },
  );
  const data =
    kind === "bert"
      ? golden.bert.texts.map((text, at) => ({ text, label: golden.training.bert.labels[at]! }))
      : golden.llama.examples.map(({ prompt, completion }) => ({ prompt, completion }));
  return { start, request: requestOf(instructions, start, dataOf(data)), numExamples: data.length };
}

const sketch = (kind: "bert" | "llama", request: ReturnType<typeof requestOf>) =>
  benches[kind].trainer.train(request, noSignal, () => undefined);

const gradientSketch = (examples: number): Directive => ({ kind: "gradient-sketch", version: 1, examples });
const activationSketch = (examples: number): Directive => ({ kind: "activation-sketch", version: 1, examples });

describe.each(["bert", "llama"] as const)("%s", (kind) => {
  test.each([4, 1])(
    "a gradient sketch is G Omega and Psi G of PyTorch's gradient, batches of %i",
    async (batchSize) => {
      const { start, request, numExamples } = await sketchPlan(kind, gradientSketch(1000), batchSize);

      const { trained, metrics, optimizerState } = await sketch(kind, request);

      expect([...trained.keys()]).toEqual([...start.keys()].filter((name) => name.includes("lora_")));
      for (const module of new Set([...trained.keys()].map(moduleOfTensor))) {
        const { a, b } = adapterKeys(module);
        const gradient = of(expected, `${kind}/gradient:${module}`);
        expectClose(of(trained, b), product(gradient, transposed(of(start, a))));
        expectClose(of(trained, a), product(transposed(of(start, b)), gradient));
      }
      expect(metrics).toMatchObject({
        numExamples,
        numSteps: Math.ceil(numExamples / batchSize),
        evaluation: undefined,
      });
      expect(metrics.trainLoss! / of(expected, `${kind}/loss`).values[0]!).toBeCloseTo(1, 4);
      expect(optimizerState).toBeUndefined();
    },
  );

  test("an activation sketch is A X^T X over the rows of X", async () => {
    const { start, request } = await sketchPlan(kind, activationSketch(1000));

    const { trained, metrics } = await sketch(kind, request);

    const { manifest, family, configJson } = benches[kind].baseModel;
    const pooled = family.describe(family.parseConfig(configJson)).pooledModules ?? [];
    expect(manifest.modules.length).toBeGreaterThan(0);
    expect([...trained.keys()]).toEqual([...start.keys()].filter((name) => name.includes("lora_A")));
    const rows = readRows(kind);
    for (const name of trained.keys()) {
      const module = moduleOfTensor(name);
      const isPooled = pooled.includes(module);
      const moment = of(expected, `${kind}/${isPooled ? "moment_first" : "moment"}:${module}`);
      expectClose(of(trained, name), product(of(start, name), moment, 1 / (isPooled ? rows.texts : rows.tokens)));
    }
    expect(metrics.trainLoss).toBeUndefined();
  });

  test("fewer examples are drawn by the run's, the client's and the round's stream", async () => {
    const { request } = await sketchPlan(kind, gradientSketch(2));

    const [once, again, later] = [
      await sketch(kind, request),
      await sketch(kind, request),
      await sketch(kind, { ...request, round: 2 }),
    ];

    expect(once.metrics.numExamples).toBe(2);
    expect(again.trained).toEqual(once.trained);
    expect(later.trained).not.toEqual(once.trained);
  });
});

test("a sketch of anything but pairs is refused", async () => {
  const { request, start } = await sketchPlan("bert", gradientSketch(2));
  const withLatent = [...start.keys()]
    .filter((name) => name.includes("lora_A"))
    .map(
      (name) =>
        [adapterKeys(moduleOfTensor(name)).r, fromFloat32(new Float32Array(rank * rank), [rank, rank])] as const,
    );
  const roles = [
    ...request.instructions.roles,
    ...withLatent.map(([name, { dtype, shape }]) => ({
      ...{ spec: { name, dtype, shape }, trained: false, uploaded: false, downloaded: true, keep: "none" as const },
    })),
  ];

  const refused = sketch("bert", {
    ...request,
    start: toStateDict([...start, ...withLatent]),
    instructions: { ...request.instructions, roles },
  });

  await expect(refused).rejects.toMatchObject({ code: "request-invalid" });
});

function readRows(kind: string): { readonly tokens: number; readonly texts: number } {
  const { bytes } = expected.get(`${kind}/rows`)!;
  const [tokens, texts] = new BigInt64Array(Uint8Array.from(bytes).buffer);
  return { tokens: Number(tokens), texts: Number(texts) };
}
